// Greedy decoding out of the CUDA kernels, in the order of a hybrid model of
// Llama-3.1-8B's shape on random weights: tokens/s and the share of the
// memory's bandwidth, over weights and state. No model code, no files.
//     decode_bench [SEQUENCES...]        (1 64 512)
//     decode_bench --check               two ways through the products agree
//
// Up to four sequences take mat_vec_cuda.h's products, more cuBLASLt's. A step
// is one CUDA graph, embedding and argmax included.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"
#include "kernels/matmul/mat_vec_cuda.h"
#include "kernels/matmul/matmul_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace caracal::kernels {
namespace {

using bench::RandomOnDevice;
using testing::DeviceArray;
using testing::VectorView;
using Bf16 = DeviceArray<uint16_t>;
using F32 = DeviceArray<float>;

constexpr float kEps = 1e-5f;
constexpr int64_t kPositions = 132000;

struct Shape {
  int64_t hidden, H, Hkv, D, inner, layers, vocabulary;
  int64_t F = 64, window = 64;
  int64_t q() const { return H * D; }
  int64_t kv() const { return Hkv * D; }
  int64_t qkv() const { return q() + 2 * kv(); }
};

// From element `begin` on, rows `stride` apart (0: as wide as they are).
TensorView View(const Bf16& memory, int64_t rows, int64_t columns,
                int64_t stride = 0, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, columns});
  if (stride != 0) v.stride[0] = stride;
  return v;
}
TensorView Heads(const Bf16& memory, int64_t rows, int64_t heads, int64_t D,
                 int64_t stride, int64_t begin = 0) {
  TensorView v(memory.data() + begin, DType::kBF16, {rows, heads, D});
  v.stride[0] = stride;
  return v;
}

// What a layer reads of its own.
struct DecodeLayer {
  DecodeLayer(const Shape& s, uint64_t seed)
      : qkv(RandomOnDevice<uint16_t>(s.qkv() * s.hidden, 0.02, seed)),
        o(RandomOnDevice<uint16_t>(s.hidden * s.q(), 0.02, seed + 1)),
        up(RandomOnDevice<uint16_t>(2 * s.inner * s.hidden, 0.02, seed + 2)),
        down(RandomOnDevice<uint16_t>(s.hidden * s.inner, 0.02, seed + 3)),
        maps(RandomOnDevice<float>(2 * s.H * s.D * s.F, 0.1, seed + 4)) {}
  Bf16 qkv, o, up, down;
  F32 maps;
};

// Weights, which any number of sequences share.
struct Weights {
  explicit Weights(const Shape& shape) : s(shape) {
    for (int64_t i = 0; i < s.layers; ++i) layers.emplace_back(s, 10 * i);
    embedding = RandomOnDevice<uint16_t>(s.vocabulary * s.hidden, 1, 11);
    head = RandomOnDevice<uint16_t>(s.vocabulary * s.hidden, 0.02, 12);
    ones = F32(std::vector<float>(s.hidden, 1.0f));
    factor = F32(std::vector<float>(s.H, -2.1972246f));
    std::vector<float> frequency(s.D / 2), c(kPositions * s.D / 2), n = c;
    for (int64_t i = 0; i < s.D / 2; ++i) {
      frequency[i] = std::pow(5e5f, -2.0f * i / s.D);
    }
    RopeTable(TensorView(frequency.data(), {s.D / 2}),
              TensorView(c.data(), {kPositions, s.D / 2}),
              TensorView(n.data(), {kPositions, s.D / 2}));
    cos = F32(c);
    sin = F32(n);
  }
  // Read once a step, but for the embedding.
  double Bytes() const {
    return static_cast<double>(s.layers) *
               (2.0 * s.hidden * (s.qkv() + s.q() + 3 * s.inner) +
                8.0 * s.H * s.D * s.F) +
           2.0 * s.hidden * s.vocabulary;
  }
  const Shape s;
  std::deque<DecodeLayer> layers;
  Bf16 embedding, head;
  F32 ones, factor, cos, sin;
};

class Decoder {
 public:
  // `few`: by mat_vec_cuda.h.
  Decoder(const Weights& weights, int64_t sequences, bool few)
      : w(weights), s(weights.s), N(sequences), few(few) {
    CARACAL_CUDA_CHECK(
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    ctx.device = DeviceType::kCuda;
    ctx.stream = stream;
    config.window = s.window;
    waiting_rows = HybridAttentionDecodeCudaWaitingKeys(config, N, s.H, s.D);
    const int64_t ring = N * (s.window + waiting_rows) * s.kv();
    for (int64_t i = 0; i < s.layers; ++i) {
      ring_k.push_back(Copied(i, ring_k, ring, 21));
      ring_v.push_back(Copied(i, ring_v, ring, 22));
      // Of which all bytes are the same: 0.0115.
      state.push_back(F32(N * s.H * 2 * s.F * s.D));
      norm.push_back(F32(N * s.H * 2 * s.F));
      for (const F32* v : {&state.back(), &norm.back()}) {
        CARACAL_CUDA_CHECK(cudaMemset(v->data(), 0x3c, v->size() * 4));
      }
      waiting.push_back(F32(N * s.H * waiting_rows * 2 * s.F));
      CARACAL_CUDA_CHECK(
          cudaMemset(waiting.back().data(), 0x3c, waiting.back().size() * 4));
    }
    x = Bf16(N * s.hidden), y = Bf16(N * s.hidden);
    delta = Bf16(N * s.hidden);
    qkv = Bf16(N * s.qkv()), a = Bf16(N * s.q());
    gate_up = Bf16(few ? 0 : N * 2 * s.inner), h = Bf16(N * s.inner);
    logits = Bf16(N * s.vocabulary);
    inv = F32(N);
    for (F32* v : {&row_max, &sum_exp, &target}) *v = F32(N);
    std::vector<int32_t> first(N);
    for (int64_t i = 0; i < N; ++i) first[i] = i * 7919 % s.vocabulary;
    ids = DeviceArray<int32_t>(first);
    length = DeviceArray<int32_t>(std::vector<int32_t>(N));
    terms = DeviceArray<uint8_t>(
        std::vector<uint8_t>(N * s.H, uint8_t{kHybridTerms}));
    products = DeviceArray<char>(kMatMulCudaWorkspaceBytes);
    CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
  }
  ~Decoder() {
    if (graph != nullptr) cudaGraphExecDestroy(graph);
    cudaStreamDestroy(stream);
  }

  // After so many tokens.
  void SetContext(int32_t tokens) {
    length = DeviceArray<int32_t>(std::vector<int32_t>(N, tokens));
    if (graph != nullptr) cudaGraphExecDestroy(graph);
    graph = nullptr;
    Step();  // chooses the products' algorithms
    CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
    cudaGraph_t recorded = nullptr;
    CARACAL_CUDA_CHECK(
        cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    Step();
    CARACAL_CUDA_CHECK(cudaStreamEndCapture(stream, &recorded));
    CARACAL_CUDA_CHECK(cudaGraphInstantiate(&graph, recorded, 0));
    CARACAL_CUDA_CHECK(cudaGraphDestroy(recorded));
  }

  // Milliseconds of a step, over `steps` in a row: several such rows.
  bench::Times Measure(int steps) {
    constexpr int kRows = 11;
    cudaEvent_t events[kRows + 1];
    for (cudaEvent_t& e : events) CARACAL_CUDA_CHECK(cudaEventCreate(&e));
    for (int i = 0; i < 3; ++i) Launch();
    CARACAL_CUDA_CHECK(cudaEventRecord(events[0], stream));
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < steps; ++j) Launch();
      CARACAL_CUDA_CHECK(cudaEventRecord(events[i + 1], stream));
    }
    CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
    std::vector<float> times(kRows);
    for (int i = 0; i < kRows; ++i) {
      CARACAL_CUDA_CHECK(
          cudaEventElapsedTime(&times[i], events[i], events[i + 1]));
      times[i] /= steps;
    }
    std::sort(times.begin(), times.end());
    for (cudaEvent_t& e : events) cudaEventDestroy(e);
    return {times[1], times[kRows / 2], times[kRows - 2]};
  }

  // That move in a step, beside the weights, on average: the window's keys and
  // values, and the states read; of waiting_rows + 1 steps one writes the
  // states, the others what waits beside them, which is read with its values
  // until then.
  double Bytes() const {
    const double rows = waiting_rows, steps = rows + 1, read = rows / 2;
    return WindowBytes() + (1 + 1 / steps) * StateBytes() +
           (rows / steps + read) * FeatureBytes() +
           read / (2 * s.window) * WindowBytes();
  }
  // The same if every step wrote its states.
  double RewritingBytes() const { return WindowBytes() + 2 * StateBytes(); }

  void Step() {
    EmbeddingForwardCuda(ctx, VectorView(ids),
                         View(w.embedding, s.vocabulary, s.hidden), 0,
                         View(x, N, s.hidden));
    for (int64_t i = 0; i < s.layers; ++i) Layer(i);
    const MatVecNorm through = {VectorView(w.ones), kEps};
    const TensorView weight = View(w.head, s.vocabulary, s.hidden);
    if (few) {
      MatVecCuda(ctx, View(x, N, s.hidden), through, weight, {},
                 View(logits, N, s.vocabulary));
    } else {
      RmsNormForwardCuda(ctx, View(x, N, s.hidden), VectorView(w.ones), kEps,
                         View(y, N, s.hidden), VectorView(inv));
      Product(View(y, N, s.hidden), weight, View(logits, N, s.vocabulary));
    }
    CrossEntropyStatisticsCuda(ctx, View(logits, N, s.vocabulary),
                               VectorView(ids), 0, VectorView(row_max),
                               VectorView(sum_exp), VectorView(target),
                               VectorView(ids2));
    CARACAL_CUDA_CHECK(cudaMemcpyAsync(ids.data(), ids2.data(), N * 4,
                                       cudaMemcpyDeviceToDevice, stream));
    HybridAttentionDecodeAdvanceCuda(ctx, length.data(), N);
  }

  void Launch() { CARACAL_CUDA_CHECK(cudaGraphLaunch(graph, stream)); }
  std::vector<double> Logits() const {
    CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
    std::vector<double> all;
    for (const uint16_t bits : logits.Host()) {
      all.push_back(FloatFromBf16(bits));
    }
    return all;
  }
  void SetTokens(const std::vector<int32_t>& tokens) {
    ids = DeviceArray<int32_t>(tokens);
  }

 private:
  // Of all sequences and layers.
  double WindowBytes() const {
    return 2.0 * 2 * s.window * s.kv() * N * s.layers;
  }
  double FeatureBytes() const { return 4.0 * s.H * 2 * s.F * N * s.layers; }
  double StateBytes() const { return (s.D + 1) * FeatureBytes(); }

  // The first random, the others like it.
  static Bf16 Copied(int64_t i, const std::deque<Bf16>& all, int64_t size,
                     uint64_t seed) {
    if (i == 0) return RandomOnDevice<uint16_t>(size, 1, seed);
    Bf16 copy(size);
    CARACAL_CUDA_CHECK(cudaMemcpy(copy.data(), all[0].data(), size * 2,
                                  cudaMemcpyDeviceToDevice));
    return copy;
  }
  void Product(TensorView in, TensorView weight, TensorView out) {
    MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, 1, in, weight, 0,
               out, {products.data(), products.size()});
  }
  void Layer(int64_t i) {
    const DecodeLayer& l = w.layers[i];
    const MatVecNorm through = {VectorView(w.ones), kEps};
    const TensorView stream_in = View(x, N, s.hidden);
    const TensorView q_weight = View(l.qkv, s.qkv(), s.hidden);
    const TensorView o_weight = View(l.o, s.hidden, s.q());
    const TensorView up_weight = View(l.up, 2 * s.inner, s.hidden);
    const TensorView down_weight = View(l.down, s.hidden, s.inner);
    if (few) {
      MatVecCuda(ctx, stream_in, through, q_weight, {}, View(qkv, N, s.qkv()));
      Attention(i);
      MatVecCuda(ctx, View(a, N, s.q()), {}, o_weight, stream_in, stream_in);
      MatVecSwigluCuda(ctx, stream_in, through, up_weight, View(h, N, s.inner));
      MatVecCuda(ctx, View(h, N, s.inner), {}, down_weight, stream_in,
                 stream_in);
      return;
    }
    const TensorView normed = View(y, N, s.hidden);
    const TensorView part = View(delta, N, s.hidden);
    if (i == 0) {
      RmsNormForwardCuda(ctx, stream_in, VectorView(w.ones), kEps, normed,
                         VectorView(inv));
    } else {
      RmsNormAddForwardCuda(ctx, stream_in, part, VectorView(w.ones), kEps,
                            stream_in, normed, VectorView(inv));
    }
    Product(normed, q_weight, View(qkv, N, s.qkv()));
    Attention(i);
    Product(View(a, N, s.q()), o_weight, part);
    RmsNormAddForwardCuda(ctx, stream_in, part, VectorView(w.ones), kEps,
                          stream_in, normed, VectorView(inv));
    Product(normed, up_weight, View(gate_up, N, 2 * s.inner));
    SwigluForwardCuda(ctx, View(gate_up, N, s.inner, 2 * s.inner),
                      View(gate_up, N, s.inner, 2 * s.inner, s.inner),
                      View(h, N, s.inner));
    Product(View(h, N, s.inner), down_weight, part);
    if (i + 1 == s.layers) {
      RmsNormAddForwardCuda(ctx, stream_in, part, VectorView(w.ones), kEps,
                            stream_in, normed, VectorView(inv));
    }
  }
  void Attention(int64_t i) {
    HybridAttentionDecodeInputs in;
    in.q = Heads(qkv, N, s.H, s.D, s.qkv());
    in.k = Heads(qkv, N, s.Hkv, s.D, s.qkv(), s.q());
    in.v = Heads(qkv, N, s.Hkv, s.D, s.qkv(), s.q() + s.kv());
    const F32& maps = w.layers[i].maps;
    in.weight_q = TensorView(maps.data(), {s.H, s.D, s.F});
    in.weight_k = TensorView(maps.data() + s.H * s.D * s.F, {s.H, s.D, s.F});
    in.window_factor = VectorView(w.factor);
    in.cos = TensorView(w.cos.data(), {kPositions, s.D / 2});
    in.sin = TensorView(w.sin.data(), {kPositions, s.D / 2});
    in.terms = terms.data();
    HybridAttentionDecodeCache cache;
    cache.length = length.data();
    const auto ring = [&](const Bf16& of) {
      return TensorView(of.data(), DType::kBF16,
                        {N, s.window + waiting_rows, s.Hkv, s.D});
    };
    cache.ring_k = ring(ring_k[i]), cache.ring_v = ring(ring_v[i]);
    cache.state = TensorView(state[i].data(), {N, s.H, 2 * s.F, s.D});
    cache.state_norm = TensorView(norm[i].data(), {N, s.H, 2 * s.F});
    if (waiting_rows > 0) {
      cache.waiting =
          TensorView(waiting[i].data(), {N, s.H, waiting_rows, 2 * s.F});
    }
    if (attention.size() == 0) {
      attention = DeviceArray<char>(std::max<size_t>(
          HybridAttentionDecodeCudaWorkspaceBytes(config, in), 1));
    }
    HybridAttentionDecodeCuda(ctx, config, in, cache,
                              Heads(a, N, s.H, s.D, s.q()),
                              {attention.data(), attention.size()});
  }

  const Weights& w;
  const Shape& s;
  const int64_t N;
  const bool few;
  Context ctx;
  cudaStream_t stream = nullptr;
  cudaGraphExec_t graph = nullptr;
  HybridAttentionConfig config;
  MatMulCudaPlans plans;
  DeviceArray<char> products, attention;
  std::deque<Bf16> ring_k, ring_v;
  std::deque<F32> state, norm, waiting;
  int64_t waiting_rows = 0;
  Bf16 x, y, delta, qkv, a, gate_up, h, logits;
  F32 inv, row_max, sum_exp, target;
  DeviceArray<int32_t> ids, ids2{static_cast<size_t>(N)}, length;
  DeviceArray<uint8_t> terms;
};

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(difference / size);
}

// Four sequences of 80 given tokens through both kinds of products.
int Check() {
  Shape shape{4096, 32, 8, 128, 14336, 4, 128256};
  const Weights weights(shape);
  Decoder few(weights, 4, true), many(weights, 4, false);
  double worst = 0;
  for (int32_t t = 0; t < 80; ++t) {
    for (Decoder* d : {&few, &many}) {
      d->SetTokens({t * 31, t * 37 + 1, t * 41 + 2, t * 43 + 3});
      CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
      d->Step();
    }
    worst = std::max(worst, Distance(few.Logits(), many.Logits()));
  }
  // Some eight roundings to bf16 in each of four layers may differ.
  const double noise = testing::kBf16Rounding * std::sqrt(8.0 * shape.layers);
  std::printf("logits at most %.2e apart (at most %.2e)%s\n", worst, noise,
              worst < noise ? "" : ": NOT EQUAL");
  return worst < noise ? 0 : 1;
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--check") == 0) return Check();
  std::vector<int64_t> batches;
  for (int i = 1; i < argc; ++i) batches.push_back(std::atoll(argv[i]));
  if (batches.empty()) batches = {1, 64, 512};
  bench::PrintDevice();
  const Weights weights(Shape{4096, 32, 8, 128, 14336, 32, 128256});
  for (const int64_t n : batches) {
    if (n < 1) return 2;
    Decoder decoder(weights, n, n <= kMatVecMostRows);
    for (const int32_t context : {200, 8192, 131072}) {
      decoder.SetContext(context);
      // A multiple of the steps between two writes of a state.
      const bench::Times t = decoder.Measure(n <= 8 ? 16 : 8);
      const auto gb = [&](double rest) {
        return (weights.Bytes() + rest) * 1e-9;
      };
      const double moved = gb(decoder.Bytes());
      const double rewriting = gb(decoder.RewritingBytes());
      std::printf(
          "%4ld sequences, %6d tokens before: %7.3f ms (%.3f - %.3f), %8.0f "
          "tokens/s; %.1f GB move, %.2f TB/s; %.1f GB if every step wrote its "
          "states, %.2f TB/s\n",
          static_cast<long>(n), context, t.median, t.low, t.high,
          n / t.median * 1e3, moved, moved / t.median, rewriting,
          rewriting / t.median);
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
