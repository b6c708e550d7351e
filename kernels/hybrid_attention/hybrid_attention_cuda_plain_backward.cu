// Plain CUDA version: backward. Rows first (dq, dphi_q, and each row's
// statistics), then sums over later rows, then keys, then the feature maps.
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_mma.h"
#include "kernels/common/cuda_shared.h"
#include "kernels/feature_map/feature_map_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_plain_row.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kBatch = 64;  // rows a key looks at between two barriers

// One (row, head): dy, statistics, the softmax part of dq, dphi_q.
__global__ void BackwardRows(Args a, PlainScratch scratch) {
  extern __shared__ float shared[];
  __shared__ float reduce[32];
  PlainRow r = MakePlainRow(a, blockIdx.x, blockIdx.y, shared);
  RowWeights(a, scratch.phi_q, scratch.phi_k, r);
  const int64_t at = r.head * a.rows + r.row;
  const bool past = r.state_end > 0 && AnyLinear(r.terms);
  const int64_t slot =
      past ? StateSlot(a, r.sequence, r.state_end / kTile) * a.H + r.head : 0;
  const float* phi_q = scratch.phi_q + at * a.Fout;
  const float* state = scratch.state + slot * a.Fout * a.D;
  const float* norm = scratch.norm + slot * a.Fout;
  float* dy = scratch.dy + (r.row * a.H + r.head) * a.D;

  float den = 0;
  for (int i = threadIdx.x; i < r.keys; i += blockDim.x) {
    den += r.gamma * r.e[i] + r.alpha * r.l[i];
  }
  for (int f = threadIdx.x; past && f < a.Fout; f += blockDim.x) {
    den += r.alpha * phi_q[f] * norm[f];
  }
  den = BlockSum(den, reduce);
  const float inv = den <= 0 ? 0.0f : 1.0f / den;

  float delta = 0, error = 0;
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float y = 0;
    for (int i = 0; i < r.keys; ++i) {
      y += (r.gamma * r.e[i] + r.alpha * r.l[i]) *
           __bfloat162float(At(a.v, r.begin + r.Key(i), r.kv)[d]);
    }
    for (int f = 0; past && f < a.Fout; ++f) {
      y += r.alpha * phi_q[f] * state[f * a.D + d];
    }
    y *= inv;
    if (a.target.data != nullptr) {
      const float off = y - __bfloat162float(At(a.target, r.row, r.head)[d]);
      error += off * off;
      dy[d] = a.scale * off;
    } else {
      dy[d] = __bfloat162float(At(a.dy, r.row, r.head)[d]);
    }
    delta += dy[d] * y;
  }
  delta = BlockSum(delta, reduce);
  error = BlockSum(error, reduce);

  // g = (dy . v - delta) / den of the keys; the linear part of the past.
  const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (int i = warp; i < r.keys; i += warps) {
    const bf16* v = At(a.v, r.begin + r.Key(i), r.kv);
    float dot = 0;
    for (int d = threadIdx.x % 32; d < a.D; d += 32) {
      dot += dy[d] * __bfloat162float(v[d]);
    }
    dot = WarpSum(dot);
    if (threadIdx.x % 32 == 0) r.g[i] = (dot - delta) * inv;
  }
  __syncthreads();
  float dgamma = 0, dalpha = 0;
  for (int i = threadIdx.x; i < r.keys; i += blockDim.x) {
    dgamma += r.e[i] * r.g[i];
    dalpha += r.l[i] * r.g[i];
  }
  float* dphi_q = scratch.dphi_q + at * a.Fout;
  for (int f = warp; AnyLinear(r.terms) && f < a.Fout; f += warps) {
    float sum = past ? DotFloats(a.D, dy, state + f * a.D) : 0.0f;
    if (past) sum = (sum - delta * norm[f]) * inv;
    if (threadIdx.x % 32 == 0) dalpha += phi_q[f] * sum;
    float near = 0;
    for (int i = threadIdx.x % 32; i < r.keys; i += 32) {
      if (i < r.far_sinks) continue;
      if (!LinearTerm(a, r.terms, r.start, r.Key(i))) continue;
      near +=
          r.g[i] *
          scratch.phi_k[(r.head * a.rows + r.begin + r.Key(i)) * a.Fout + f];
    }
    near = WarpSum(near);
    if (threadIdx.x % 32 == 0) dphi_q[f] = r.alpha * (sum + near);
  }
  dgamma = BlockSum(dgamma, reduce);
  dalpha = BlockSum(dalpha, reduce);
  const float dmax = -r.gamma * dgamma;
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float sum = 0;
    for (int i = 0; i < r.keys; ++i) {
      const float ds = r.gamma * r.e[i] * r.g[i] + (i == r.argmax ? dmax : 0);
      sum += ds * __bfloat162float(At(a.k, r.begin + r.Key(i), r.kv)[d]);
    }
    scratch.dx_q[(r.row * a.H + r.head) * a.D + d] = sum * r.root;
  }
  if (threadIdx.x > 0) return;
  scratch.row_max[at] = r.c;
  scratch.inv_den[at] = inv;
  scratch.delta[at] = delta;
  scratch.dmax[at] = dmax;
  scratch.argmax[at] = r.Key(r.argmax);
  scratch.dfactor[at] =
      (a.affine ? dgamma - dalpha : dgamma) * r.gamma * (1 - r.gamma);
  scratch.error[at] = error;
}

// Slot of boundary b: sums over the rows whose state holds keys [0, b kTile),
// of phi_q alpha / den dy^T and phi_q alpha / den delta.
__global__ void Suffixes(Args a, PlainScratch scratch) {
  const int f = blockIdx.x, head = blockIdx.y, sequence = blockIdx.z;
  const int64_t begin = a.offsets[sequence];
  const int length = a.offsets[sequence + 1] - begin;
  if (!AnyLinear(TermsOf(a, sequence, head))) return;
  const float alpha = Alpha(a, Gamma(a, head));
  const int phase = Phase(a, length);
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float sum = 0, total = 0;
    int boundary = length / kTile;  // the next to be stored
    const auto store = [&](int down_to) {
      for (; boundary > down_to; --boundary) {
        const int64_t at =
            (StateSlot(a, sequence, boundary) * a.H + head) * a.Fout + f;
        scratch.suffix[at * a.D + d] = sum;
        if (d == 0) scratch.suffix_norm[at] = total;
      }
    };
    for (int n = length - 1; n >= 0; --n) {
      store(StateEnd(a, n, phase) / kTile);
      const int64_t at = head * a.rows + begin + n;
      const float p =
          scratch.phi_q[at * a.Fout + f] * alpha * scratch.inv_den[at];
      sum += p * scratch.dy[((begin + n) * a.H + head) * a.D + d];
      total += p * scratch.delta[at];
    }
    store(0);
  }
}

// One (key, key head): dv, the softmax part of dk, dphi_k of the group's heads.
// Shared: dk [D], dv [D], dphi_k [Fout], coefficients [3, kBatch].
__global__ void BackwardKeys(Args a, PlainScratch scratch) {
  extern __shared__ float shared[];
  const int kv = blockIdx.y, D = a.D, Fout = a.Fout;
  const int group = a.H / a.Hkv, sequence = FindSequence(a, blockIdx.x);
  const int64_t key_row = blockIdx.x, begin = a.offsets[sequence];
  const int j = key_row - begin, length = a.offsets[sequence + 1] - begin;
  float *dk = shared, *dv = dk + D, *dphi = dv + D, *ds = dphi + Fout;
  float *p = ds + kBatch, *gl = p + kBatch;
  const float root = rsqrtf(static_cast<float>(D));
  const bf16* key = At(a.k, key_row, kv);
  const bf16* value = At(a.v, key_row, kv);
  for (int d = threadIdx.x; d < D; d += blockDim.x) dk[d] = dv[d] = 0;
  // Rows [j, local) look at this key one by one, later ones only at a sink.
  const int phase = Phase(a, length);
  int local = j;
  while (local < length && StateEnd(a, local, phase) <= j) ++local;
  const int last = j < a.sinks ? length : local;
  for (int head = kv * group; head < (kv + 1) * group; ++head) {
    const int terms = TermsOf(a, sequence, head);
    const bool linear = AnyLinear(terms);
    const float gamma = Gamma(a, head), alpha = Alpha(a, gamma);
    const float* phi_k = scratch.phi_k + (head * a.rows + key_row) * Fout;
    __syncthreads();
    for (int f = threadIdx.x; f < Fout; f += blockDim.x) dphi[f] = 0;
    for (int first = j; first < last; first += kBatch) {
      const int count = min(kBatch, last - first);
      __syncthreads();
      for (int i = threadIdx.x / 32; i < count; i += blockDim.x / 32) {
        const int n = first + i, start = Start(a, n, phase);
        const int64_t row = begin + n, at = head * a.rows + row;
        const float* dy = scratch.dy + (row * a.H + head) * D;
        float dot = 0;
        for (int d = threadIdx.x % 32; d < D; d += 32) {
          dot += dy[d] * __bfloat162float(value[d]);
        }
        const float inv = scratch.inv_den[at];
        const float g = (WarpSum(dot) - scratch.delta[at]) * inv;
        float e = 0, l = 0;
        if (SoftmaxTerm(a, terms, start, j)) {
          e = gamma * expf(DotRows(D, At(a.q, row, head), key) * root -
                           scratch.row_max[at]);
        }
        const bool near = n < local && LinearTerm(a, terms, start, j);
        if (near) {
          l = alpha * DotFloats(Fout, scratch.phi_q + at * Fout, phi_k);
        }
        if (threadIdx.x % 32 == 0) {
          ds[i] =
              (e * g + (scratch.argmax[at] == j ? scratch.dmax[at] : 0)) * root;
          p[i] = (e + l) * inv;
          gl[i] = near ? alpha * g : 0;
        }
      }
      __syncthreads();
      for (int d = threadIdx.x; d < D; d += blockDim.x) {
        for (int i = 0; i < count; ++i) {
          const int64_t row = begin + first + i;
          dk[d] += ds[i] * __bfloat162float(At(a.q, row, head)[d]);
          dv[d] += p[i] * scratch.dy[(row * a.H + head) * D + d];
        }
      }
      for (int f = threadIdx.x; linear && f < Fout; f += blockDim.x) {
        for (int i = 0; i < count; ++i) {
          dphi[f] +=
              gl[i] *
              scratch.phi_q[(head * a.rows + begin + first + i) * Fout + f];
        }
      }
    }
    if (!linear) continue;
    __syncthreads();
    const int boundary = j / kTile + 1;
    if (StateTerm(a, terms, j) && boundary <= length / kTile) {
      const int64_t slot = StateSlot(a, sequence, boundary) * a.H + head;
      const float* suffix = scratch.suffix + slot * Fout * D;
      for (int d = threadIdx.x; d < D; d += blockDim.x) {
        for (int f = 0; f < Fout; ++f) dv[d] += phi_k[f] * suffix[f * D + d];
      }
      for (int f = threadIdx.x / 32; f < Fout; f += blockDim.x / 32) {
        float dot = 0;
        for (int d = threadIdx.x % 32; d < D; d += 32) {
          dot += suffix[f * D + d] * __bfloat162float(value[d]);
        }
        dot = WarpSum(dot) - scratch.suffix_norm[slot * Fout + f];
        if (threadIdx.x % 32 == 0) dphi[f] += dot;
      }
    }
    __syncthreads();
    for (int f = threadIdx.x; f < Fout; f += blockDim.x) {
      scratch.dphi_k[(head * a.rows + key_row) * Fout + f] = dphi[f];
    }
  }
  __syncthreads();
  for (int d = threadIdx.x; d < D; d += blockDim.x) {
    scratch.dx_k[(key_row * a.Hkv + kv) * D + d] = dk[d];
    if (a.dv.data != nullptr) {
      At(a.dv, key_row, kv)[d] = __float2bfloat16(dv[d]);
    }
  }
}

// dphi [H, rows, Fout] to dz, in place in the first F columns. Warp: a row.
__global__ void FeatureBackward(Args a, const float* phi, float* dphi) {
  const int64_t row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  const int head = blockIdx.y, lane = threadIdx.x % 32;
  if (row >= a.rows) return;
  const int sequence = FindSequence(a, row);
  const bool linear = AnyLinear(TermsOf(a, sequence, head));
  const float* s = phi + (head * a.rows + row) * a.Fout;
  float* ds = dphi + (head * a.rows + row) * a.Fout;
  if (!linear) {
    for (int f = lane; f < a.F; f += 32) ds[f] = 0;
    return;
  }
  FeatureGradient(a.map, a.F, s, ds, lane);
}

// dx = the softmax part + sum over the heads that read x of dz W^T.
__global__ void InputGradient(Args a, bool keys, const float* part,
                              const float* dz, HeadRows<bf16> dx) {
  const int x_heads = keys ? a.Hkv : a.H, x_head = blockIdx.y;
  const int group = a.H / x_heads;
  const int64_t row = blockIdx.x;
  for (int d = threadIdx.x; d < a.D; d += blockDim.x) {
    float sum = part[(row * x_heads + x_head) * a.D + d];
    for (int head = x_head * group; head < (x_head + 1) * group; ++head) {
      const float* weight =
          (keys ? a.weight_k : a.weight_q) + (MapOf(a, head) * a.D + d) * a.F;
      const float* from = dz + (head * a.rows + row) * a.Fout;
      for (int f = 0; f < a.F; ++f) sum += from[f] * weight[f];
    }
    At(dx, row, x_head)[d] = __float2bfloat16(sum);
  }
}

// dW = x^T dz of one chunk of rows, a tile of it; row D, where x counts as 1,
// is the bias's. dz is split into bf16 numbers that add up to it: products are
// exact, sums fp32.
constexpr int kChunkRows = 512, kWeightTile = 64, kStep = 64;
constexpr int kWeightThreads = 128;  // four warps of 16 rows of dW

__global__ void __launch_bounds__(kWeightThreads)
    WeightParts(Args a, HeadRows<const bf16> x, bool keys, const float* dz,
                float* parts) {
  constexpr int kStride = kWeightTile + 8;
  __shared__ __align__(16) bf16 xs[kStep][kStride];
  __shared__ __align__(16) uint32_t zs[kSplit][kStep][kStride / 2];
  const int tiles = (a.F + kWeightTile - 1) / kWeightTile;
  const int d0 = blockIdx.x / tiles * kWeightTile;
  const int f0 = blockIdx.x % tiles * kWeightTile;
  const int head = blockIdx.y, x_head = keys ? KvHead(a, head) : head;
  const int64_t begin = int64_t{blockIdx.z} * kChunkRows;
  const int64_t end = min(begin + kChunkRows, a.rows);
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32 * 16;
  const uint32_t turned =
      SharedAddress(&xs[lane % 8 + lane / 16 * 8][first + lane / 8 % 2 * 8]);
  const uint32_t along = SharedAddress(&zs[0][lane % 16][lane / 16 * 4]);
  constexpr int kPart = kStep * kStride * 2;  // bytes
  float sums[kWeightTile / 8][4] = {};
  for (int64_t row = begin; row < end; row += kStep) {
    for (int i = threadIdx.x; i < kStep * kWeightTile / 8;
         i += kWeightThreads) {
      const int r = i / (kWeightTile / 8), c = i % (kWeightTile / 8) * 8;
      const int d = d0 + c;
      uint4 v = make_uint4(d == a.D ? 0x3f80 : 0, 0, 0, 0);  // 1 for the bias
      if (row + r < end && d < a.D) {
        v = *reinterpret_cast<const uint4*>(At(x, row + r, x_head) + d);
      }
      *reinterpret_cast<uint4*>(&xs[r][c]) = v;
    }
    for (int i = threadIdx.x; i < kStep * kWeightTile / 2;
         i += kWeightThreads) {
      const int r = i / (kWeightTile / 2), c = i % (kWeightTile / 2);
      const auto value = [&](int f) {
        return row + r < end && f < a.F
                   ? dz[(head * a.rows + row + r) * a.Fout + f]
                   : 0.0f;
      };
      uint32_t words[kSplit];
      SplitPair(value(f0 + 2 * c), value(f0 + 2 * c + 1), words);
#pragma unroll
      for (int s = 0; s < kSplit; ++s) zs[s][r][c] = words[s];
    }
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kStep; r += 16) {
      uint32_t x16[4];
      LoadTransposed(turned + 2 * r * kStride, x16);
#pragma unroll
      for (int s = 0; s < kSplit; ++s) {
#pragma unroll
        for (int b = 0; b < kWeightTile / 16; ++b) {
          MmaRows(sums[2 * b], sums[2 * b + 1], x16,
                  along + s * kPart + 2 * (r * kStride + 16 * b));
        }
      }
    }
    __syncthreads();
  }
  float* out = parts + (int64_t{blockIdx.z} * a.H + head) * (a.D + 1) * a.F;
#pragma unroll
  for (int i = 0; i < kWeightTile / 2; ++i) {
    const int d = d0 + first + lane / 4 + i / 2 % 2 * 8;
    const int f = f0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (d <= a.D && f < a.F) out[d * a.F + f] = sums[i / 4][i % 4];
  }
}

__global__ void AddWeightParts(Args a, int chunks, const float* parts,
                               float* dweight, float* dbias) {
  const int d = blockIdx.x, map = blockIdx.y, heads = a.H / a.maps;
  float* to = d == a.D ? dbias : dweight;
  if (to == nullptr) return;
  to += d == a.D ? map * a.F : (map * a.D + d) * a.F;
  for (int f = threadIdx.x; f < a.F; f += blockDim.x) {
    float sum = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) {
      for (int head = map * heads; head < (map + 1) * heads; ++head) {
        sum += parts[((int64_t{chunk} * a.H + head) * (a.D + 1) + d) * a.F + f];
      }
    }
    to[f] += sum;
  }
}

int64_t Chunks(const Args& a) { return (a.rows + kChunkRows - 1) / kChunkRows; }

void WeightGradient(const Args& a, HeadRows<const bf16> x, bool keys,
                    const float* dz, float* parts, float* dweight, float* dbias,
                    cudaStream_t stream) {
  if (a.F == 0 || (dweight == nullptr && dbias == nullptr)) return;
  const auto tiles = [](int n) { return (n + kWeightTile - 1) / kWeightTile; };
  const int rows = a.D + (dbias != nullptr ? 1 : 0);
  WeightParts<<<dim3(tiles(rows) * tiles(a.F), a.H, Chunks(a)), kWeightThreads,
                0, stream>>>(a, x, keys, dz, parts);
  CARACAL_CUDA_CHECK_LAUNCH();
  AddWeightParts<<<dim3(rows, a.maps), kPlainThreads, 0, stream>>>(
      a, Chunks(a), parts, dweight, dbias);
  CARACAL_CUDA_CHECK_LAUNCH();
}

__global__ void FactorGradient(Args a, const float* rows) {
  __shared__ float reduce[32];
  float sum = 0;
  for (int64_t i = threadIdx.x; i < a.rows; i += blockDim.x) {
    sum += rows[blockIdx.x * a.rows + i];
  }
  sum = BlockSum(sum, reduce);
  if (threadIdx.x == 0) a.dwindow_factor[blockIdx.x] += sum;
}

// One block.
__global__ void SquaredError(Args a, const float* rows) {
  __shared__ double sums[kPlainThreads];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < a.H * a.rows; i += blockDim.x) {
    sum += rows[i];
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int i = 1; i < blockDim.x; ++i) sum += sums[i];
  *a.squared_error += sum;
}

}  // namespace

PlainScratch PlainBackwardScratch(const Args& a, void* memory) {
  PlainScratch s = PlainForwardScratch(a, memory);
  const auto take = [&](auto*& pointer, int64_t count) {
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(
        reinterpret_cast<uintptr_t>(memory) + s.bytes);
    s.bytes += (count * sizeof(*pointer) + 255) / 256 * 256;
  };
  const int64_t slots = a.rows / kTile + 1, all = a.H * a.rows;
  take(s.dy, all * a.D);
  take(s.suffix, slots * a.H * a.Fout * a.D);
  take(s.suffix_norm, slots * a.H * a.Fout);
  take(s.dphi_q, all * a.Fout);
  take(s.dphi_k, all * a.Fout);
  take(s.dx_q, all * a.D);
  take(s.dx_k, a.rows * a.Hkv * a.D);
  for (float** p :
       {&s.row_max, &s.inv_den, &s.delta, &s.dmax, &s.dfactor, &s.error}) {
    take(*p, all);
  }
  take(s.argmax, all);
  take(s.weight_parts, PlainWeightParts(a));
  return s;
}

int64_t PlainWeightParts(const Args& a) {
  return Chunks(a) * a.H * (a.D + 1) * a.F;
}

void PlainFeatureBackward(const Args& a, const PlainScratch& s,
                          cudaStream_t stream) {
  if (a.F == 0) return;
  const dim3 warps((a.rows * 32 + kPlainThreads - 1) / kPlainThreads, a.H);
  FeatureBackward<<<warps, kPlainThreads, 0, stream>>>(a, s.phi_q, s.dphi_q);
  CARACAL_CUDA_CHECK_LAUNCH();
  FeatureBackward<<<warps, kPlainThreads, 0, stream>>>(a, s.phi_k, s.dphi_k);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void PlainParameterGradients(const Args& a, const PlainScratch& s,
                             cudaStream_t stream) {
  WeightGradient(a, a.q, false, s.dphi_q, s.weight_parts, a.dweight_q,
                 a.dbias_q, stream);
  WeightGradient(a, a.k, true, s.dphi_k, s.weight_parts, a.dweight_k, a.dbias_k,
                 stream);
  if (a.dwindow_factor == nullptr) return;
  FactorGradient<<<a.H, kPlainThreads, 0, stream>>>(a, s.dfactor);
  CARACAL_CUDA_CHECK_LAUNCH();
}

void PlainBackward(const Args& a, const PlainScratch& s, cudaStream_t stream) {
  PlainPrepare(a, s, stream);
  const size_t row_bytes = PlainRowBytes(a);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      BackwardRows, cudaFuncAttributeMaxDynamicSharedMemorySize, row_bytes));
  const dim3 rows_heads(a.rows, a.H);
  BackwardRows<<<rows_heads, kPlainThreads, row_bytes, stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
  if (a.F > 0) {
    Suffixes<<<dim3(a.Fout, a.H, a.sequences), kPlainThreads, 0, stream>>>(a,
                                                                           s);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  const size_t key_bytes = (2 * a.D + a.Fout + 3 * kBatch) * sizeof(float);
  BackwardKeys<<<dim3(a.rows, a.Hkv), kPlainThreads, key_bytes, stream>>>(a, s);
  CARACAL_CUDA_CHECK_LAUNCH();
  PlainFeatureBackward(a, s, stream);
  if (a.dq.data != nullptr) {
    InputGradient<<<rows_heads, kPlainThreads, 0, stream>>>(a, false, s.dx_q,
                                                            s.dphi_q, a.dq);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  if (a.dk.data != nullptr) {
    InputGradient<<<dim3(a.rows, a.Hkv), kPlainThreads, 0, stream>>>(
        a, true, s.dx_k, s.dphi_k, a.dk);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
  PlainParameterGradients(a, s, stream);
  if (a.target.data != nullptr && a.squared_error != nullptr) {
    SquaredError<<<1, kPlainThreads, 0, stream>>>(a, s.error);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels::cuda
