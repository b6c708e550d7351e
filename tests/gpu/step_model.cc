// What transfer and fine-tuning share: memory, norms, the MLP, and the order
// of chunks.
#include "tests/gpu/step_model.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/causal_attention/causal_attention_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"

namespace caracal::kernels {

using testing::VectorView;

Model::Model(const StepOptions& options, Ranks& ranks)
    : options(options),
      rows(options.sequences * options.shape.length),
      trained(ranks),
      ranks(ranks),
      ctx(ranks.context()),
      s(options.shape.Part(ranks.place().tensor)),
      plans(options.multiprocessors) {
  CARACAL_CHECK(options.sequences % options.chunks == 0 &&
                ChunkRows() % ranks.place().tensor == 0);
  const Place& place = ranks.place();
  const int64_t own = rows / place.tensor;
  for (int64_t i = 0; i < s.layers; ++i) {
    layers.emplace_back(options.shape, place, rows, own, options.finetune,
                        10 * i);
  }
  // What layers share; a layer that saves nothing uses the first's.
  if (!options.finetune) {
    work = std::make_unique<Layer>(options.shape, place, rows, own, true, 1);
  }
  ones = F32(std::vector<float>(s.hidden, 1.0f));
  {
    const Bf16 all =
        RandomOnDevice<uint16_t>(place.data * rows * s.hidden, 1, 3);
    input = Bf16(own * s.hidden);
    for (int chunk = 0; chunk < options.chunks; ++chunk) {
      const int64_t from = place.data_rank * rows + chunk * ChunkRows() +
                           place.tensor_rank * OwnRows();
      CopyBlock(all.data(), s.hidden, {from, OwnRows(), 0, s.hidden},
                input.data() + chunk * OwnRows() * s.hidden, s.hidden);
    }
  }
  delta = Bf16(rows * s.hidden);
  y2 = Bf16(rows * s.hidden);
  h = Bf16(rows * s.inner);
  {
    const int64_t all = options.shape.H * s.D * s.F, part = s.H * s.D * s.F;
    const F32 random = RandomOnDevice<float>(2 * all, 0.1, 5);
    maps = F32(2 * part);
    CopyBlock(random.data(), all, {0, 2, place.tensor_rank * part, part},
              maps.data(), part);
  }
  factor = F32(std::vector<float>(s.H, -2.1972246f));
  std::vector<int32_t> at(rows);
  for (int64_t r = 0; r < rows; ++r) at[r] = r % s.length;
  positions = DeviceArray<int32_t>(at);
  std::vector<float> frequency(s.D / 2), c(s.length * s.D / 2), n = c;
  for (int64_t i = 0; i < s.D / 2; ++i) {
    frequency[i] = std::pow(5e5f, -2.0f * i / s.D);
  }
  RopeTable(TensorView(frequency.data(), {s.D / 2}),
            TensorView(c.data(), {s.length, s.D / 2}),
            TensorView(n.data(), {s.length, s.D / 2}));
  cos = F32(c);
  sin = F32(n);
  for (int64_t i = 0; i <= options.sequences; ++i) {
    offsets.push_back(i * s.length);
  }
  terms.assign(options.sequences * s.H, kHybridTerms);
  config.window = s.window;
  products = DeviceArray<char>(kMatMulCudaWorkspaceBytes);
  options.finetune ? AddFinetune() : AddTransfer();
  trained.Allocate();
  error = DeviceArray<double>(std::vector<double>(1));
  AllocateAttention();
}

void Model::AllocateAttention() {
  const Bf16& qkv = Activations(0).qkv;
  size_t bytes = 0;
  // Of all rows and of a chunk's.
  for (const int chunk : {-1, 0}) {
    const HybridAttentionInputs in = Inputs(qkv, chunk);
    HybridAttentionCotangent cotangent;
    HybridAttentionGradients grads;
    const int64_t n = in.q.shape[0];
    if (options.finetune) {
      const int64_t width = s.qkv() + 3 * s.rank;
      cotangent.dy = Heads(da, n, s.H, s.D, s.q());
      grads.dq = Q(dqkv, chunk, width), grads.dk = K(dqkv, chunk, width);
      grads.dv = V(dqkv, chunk, width);
    } else {
      cotangent.target = Heads(work->a, n, s.H, s.D, s.q());
      grads.dweight_q = trained.Grad(0, {s.H, s.D, s.F});
      grads.dweight_k = trained.Grad(1, {s.H, s.D, s.F});
    }
    CausalAttentionInputs full;
    full.offsets = in.offsets;
    full.sequences = in.sequences;
    bytes =
        std::max({bytes, HybridAttentionForwardCudaWorkspaceBytes(config, in),
                  HybridAttentionBackwardCudaWorkspaceBytes(config, in,
                                                            cotangent, grads),
                  CausalAttentionForwardCudaWorkspaceBytes(full)});
  }
  attention = DeviceArray<char>(bytes);
}

void Model::Step() {
  trained.Zero();
  options.finetune ? Finetune() : Transfer();
  ranks.WaitForAll();
  trained.Step();
}

double Model::Loss() const {
  CARACAL_CUDA_CHECK(cudaStreamSynchronize(ranks.stream()));
  const Place& place = ranks.place();
  const double all = static_cast<double>(rows) * place.data;
  if (!options.finetune) {
    return error.Host()[0] / (s.layers * all * options.shape.q());
  }
  // All tensor ranks have it.
  if (place.tensor_rank > 0) return 0;
  const std::vector<float> each = nll.Host();
  return std::accumulate(each.begin(), each.end(), 0.0) / all;
}

double Model::Parameters() const {
  const Shape& f = options.shape;
  return static_cast<double>(f.layers) *
             (f.hidden * (f.qkv() + f.q() + 3 * f.inner)) +
         (options.finetune ? f.hidden * f.vocabulary : 0);
}

void Model::Run(const std::vector<Segment>& segments) {
  std::function<void()> join = [] {};
  for (const Segment& segment : segments) {
    for (int chunk = 0; chunk < options.chunks; ++chunk) {
      if (options.chunks == 1) std::exchange(join, [] {})();
      segment.first(chunk);
      std::exchange(join, [] {})();
      segment.second(chunk);
      join = [&segment, chunk] { segment.join(chunk); };
    }
    if (segment.after) segment.after();
  }
  join();
}

TensorView Model::All(const Bf16& x, int chunk, int64_t columns,
                      int64_t width) const {
  if (width == 0) width = columns;
  return View(x, ChunkRows(), columns, width, chunk * ChunkRows() * width);
}

TensorView Model::Mine(const Bf16& x, int chunk, int64_t columns,
                       int64_t width) const {
  if (width == 0) width = columns;
  const int64_t row =
      chunk * ChunkRows() + ranks.place().tensor_rank * OwnRows();
  return View(x, OwnRows(), columns, width, row * width);
}

TensorView Model::Own(const Bf16& x, int chunk) const {
  return View(x, OwnRows(), s.hidden, 0, chunk * OwnRows() * s.hidden);
}

TensorView Model::Own(const F32& x, int chunk) const {
  return TensorView(x.data() + chunk * OwnRows(), {OwnRows()});
}

TensorView Model::Columns(const Bf16& x, int chunk, int64_t begin,
                          int64_t columns, int64_t width) const {
  return View(x, ChunkRows(), columns, width,
              chunk * ChunkRows() * width + begin);
}

TensorView Model::Q(const Bf16& x, int chunk, int64_t width) const {
  const int64_t n = chunk < 0 ? rows : ChunkRows();
  return Heads(x, n, s.H, s.D, width, std::max(chunk, 0) * n * width);
}

TensorView Model::K(const Bf16& x, int chunk, int64_t width) const {
  const int64_t n = chunk < 0 ? rows : ChunkRows();
  return Heads(x, n, s.Hkv, s.D, width, std::max(chunk, 0) * n * width + s.q());
}

TensorView Model::V(const Bf16& x, int chunk, int64_t width) const {
  const int64_t n = chunk < 0 ? rows : ChunkRows();
  return Heads(x, n, s.Hkv, s.D, width,
               std::max(chunk, 0) * n * width + s.q() + s.kv());
}

HybridAttentionInputs Model::Inputs(const Bf16& qkv, int chunk) const {
  HybridAttentionInputs in;
  in.q = Q(qkv, chunk, s.qkv()), in.k = K(qkv, chunk, s.qkv());
  in.v = V(qkv, chunk, s.qkv());
  in.weight_q = TensorView(maps.data(), {s.H, s.D, s.F});
  in.weight_k = TensorView(maps.data() + s.H * s.D * s.F, {s.H, s.D, s.F});
  in.window_factor = VectorView(factor);
  in.offsets = offsets.data();
  in.sequences =
      chunk < 0 ? options.sequences : options.sequences / options.chunks;
  in.terms = terms.data();
  return in;
}

void Model::Product(TensorView x, TensorView weight, TensorView y) {
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kYes, 1, x, weight, 0, y,
             Products());
}

void Model::ProductBack(TensorView dy, TensorView weight, TensorView dx) {
  MatMulCuda(ctx, plans, Transpose::kNo, Transpose::kNo, 1, dy, weight, 0, dx,
             Products());
}

void Model::Rotate(const Bf16& qkv, int chunk, int64_t width, bool inverse) {
  TensorView x = Q(qkv, chunk, width);
  x.shape[1] = s.H + s.Hkv;
  RopeCuda(ctx, x, TensorView(positions.data(), {x.shape[0]}),
           TensorView(cos.data(), {s.length, s.D / 2}),
           TensorView(sin.data(), {s.length, s.D / 2}), inverse);
}

// sum = x + delta, when that is summed over the ranks; y its norm.
void Model::AddNorm(const Bf16& x, const Bf16& sum, TensorView y,
                    const F32& inv, int chunk) {
  const TensorView part = Mine(delta, chunk, s.hidden);
  const ConstTensorView rest = ranks.WaitForRest(tickets[chunk], part);
  RmsNormAddForwardCuda(ctx, Own(x, chunk), part, VectorView(ones), kEps,
                        Own(sum, chunk), y, Own(inv, chunk), rest);
}

// x1 = the layer before's x2 + its MLP's part; y1 its norm, gathered.
void Model::NormBeforeAttention(int64_t i, int chunk) {
  const Layer& w = Activations(i);
  const int64_t width = options.finetune ? QkvWidth() : s.hidden;
  const TensorView x1 = Own(w.x1, chunk);
  const TensorView y = Mine(w.y1, chunk, s.hidden, width);
  if (i == 0) {
    CARACAL_CUDA_CHECK(cudaMemcpyAsync(x1.data, Own(input, chunk).data,
                                       x1.size() * 2, cudaMemcpyDeviceToDevice,
                                       ranks.stream()));
    RmsNormForwardCuda(ctx, x1, VectorView(ones), kEps, y, Own(w.inv1, chunk));
  } else {
    AddNorm(Activations(i - 1).x2, w.x1, y, w.inv1, chunk);
  }
  tickets[chunk] = ranks.Gather(All(w.y1, chunk, width), chunk);
}

void Model::NormBeforeMlp(int64_t i, int chunk) {
  const Layer& w = Activations(i);
  AddNorm(w.x1, w.x2, Mine(y2, chunk, s.hidden), w.inv2, chunk);
  tickets[chunk] = ranks.Gather(All(y2, chunk, s.hidden), chunk);
}

Model::Segment Model::Mlp(int64_t i, const std::function<void(int)>& join) {
  Segment segment;
  segment.first = [=, this](int chunk) {
    const Bf16& gate_up = Activations(i).gate_up;
    ranks.Wait(tickets[chunk]);
    Product(All(y2, chunk, s.hidden),
            View(layers[i].up_weight, 2 * s.inner, s.hidden),
            All(gate_up, chunk, 2 * s.inner));
    SwigluForwardCuda(ctx, Columns(gate_up, chunk, 0, s.inner, 2 * s.inner),
                      Columns(gate_up, chunk, s.inner, s.inner, 2 * s.inner),
                      All(h, chunk, s.inner));
  };
  segment.second = [=, this](int chunk) {
    Product(All(h, chunk, s.inner),
            View(layers[i].down_weight, s.hidden, s.inner),
            All(delta, chunk, s.hidden));
    tickets[chunk] = ranks.Reduce(All(delta, chunk, s.hidden), chunk);
  };
  segment.join = join;
  return segment;
}

}  // namespace caracal::kernels
