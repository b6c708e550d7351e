// Whole training steps out of the CUDA kernels, in the order of a model of
// Llama's shape, on random weights: what tokens/s they allow, launches and the
// chip's clock under load included. No model code, no files.
//     step_bench transfer|finetune [8b|135m] [rows of 1,024 tokens]
//
// transfer: each layer's forward with full causal attention, whose output is
// the target of hybrid attention's feature maps; AdamW over these. finetune:
// forward with hybrid attention and LoRA (rank 8 on q, k, v, o, folded into the
// projections), loss in chunks, backward, clip, AdamW over LoRA.
//
// MFU counts the algorithm's own work on frozen weights, as docs/benchmarks.md
// does for the CPU: 2 FLOP a parameter and token for transfer (one forward), 4
// for finetune; attention is not counted.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/causal_attention/causal_attention_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/lora/lora_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "tests/gpu/step_parts.h"

namespace caracal::kernels {
namespace {

using testing::VectorView;

constexpr float kEps = 1e-5f;
constexpr float kScale = 2;
constexpr int64_t kLossRows = 2048;

class Model {
 public:
  Model(const Shape& shape, int64_t sequences, bool finetune)
      : s(shape), rows(sequences * s.length) {
    for (int64_t i = 0; i < s.layers; ++i) {
      layers.emplace_back(s, rows, finetune, 10 * i);
    }
    // What layers share; a layer that saves nothing uses the first's.
    if (!finetune) work = std::make_unique<Layer>(s, rows, true, 1);
    ones = F32(std::vector<float>(s.hidden, 1.0f));
    input = RandomOnDevice<uint16_t>(rows * s.hidden, 1, 3);
    delta = Bf16(rows * s.hidden);
    y2 = Bf16(rows * s.hidden);
    h = Bf16(rows * s.inner);
    maps = RandomOnDevice<float>(2 * s.H * s.D * s.F, 0.1, 5);
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
    for (int64_t i = 0; i <= sequences; ++i) offsets.push_back(i * s.length);
    terms.assign(sequences * s.H, kHybridTerms);
    config.window = s.window;
    products = DeviceArray<char>(kMatMulCudaWorkspaceBytes);
    if (finetune) {
      PrepareFinetune();
    } else {
      for (int64_t i = 0; i < s.layers; ++i) {
        trained.Add(s.H * s.D * s.F);
        trained.Add(s.H * s.D * s.F);
        trained.Add(s.H);
      }
    }
    trained.Allocate();
    error = DeviceArray<double>(std::vector<double>(1));
    AllocateAttention(finetune);
  }

  void Transfer(int64_t step) {
    trained.Zero();
    CARACAL_CUDA_CHECK(cudaMemsetAsync(error.data(), 0, sizeof(double)));
    Layer& w = *work;
    for (int64_t i = 0; i < s.layers; ++i) {
      const Layer& layer = layers[i];
      Norm(i == 0 ? input : w.x2, i == 0 ? nullptr : &delta, w.x1,
           View(w.y1, rows, s.hidden), w.inv1);
      Product(View(w.y1, rows, s.hidden),
              View(layer.qkv_weight, s.qkv(), s.hidden, s.hidden + 3 * s.rank),
              View(w.qkv, rows, s.qkv()));
      Rotate(w.qkv, s.qkv(), false);
      CausalAttentionInputs full;
      full.q = Q(w.qkv), full.k = K(w.qkv), full.v = V(w.qkv);
      full.offsets = offsets.data();
      full.sequences = static_cast<int64_t>(offsets.size()) - 1;
      const TensorView target = Heads(w.a, rows, s.H, s.D, s.q());
      CausalAttentionForwardCuda({}, full, target, {}, Attention());
      HybridAttentionInputs in = Inputs(w.qkv);
      in.weight_q = trained.Param(3 * i, {s.H, s.D, s.F});
      in.weight_k = trained.Param(3 * i + 1, {s.H, s.D, s.F});
      HybridAttentionCotangent cotangent;
      cotangent.target = target;
      cotangent.scale = 2.0f / static_cast<float>(rows * s.q());
      cotangent.squared_error = error.data();
      HybridAttentionGradients grads;
      grads.dweight_q = trained.Grad(3 * i, {s.H, s.D, s.F});
      grads.dweight_k = trained.Grad(3 * i + 1, {s.H, s.D, s.F});
      grads.dwindow_factor = trained.Grad(3 * i + 2, {s.H});
      HybridAttentionBackwardCuda({}, config, in, cotangent, grads,
                                  Attention());
      Product(View(w.a, rows, s.q()),
              View(layer.o_weight, s.hidden, s.q(), s.q() + s.rank),
              View(delta, rows, s.hidden));
      Mlp(layer, w);
    }
    trained.Step(step);
  }

  void Finetune(int64_t step) {
    trained.Zero();
    for (int64_t i = 0; i < s.layers; ++i) {
      Layer& w = layers[i];
      Fold(i);
      Norm(i == 0 ? input : layers[i - 1].x2, i == 0 ? nullptr : &delta, w.x1,
           View(w.y1, rows, s.hidden, s.hidden + 3 * s.rank), w.inv1);
      LoraFoldedForwardCuda({}, plans, View(w.y1, rows, s.hidden + 3 * s.rank),
                            QkvWeight(w), 3 * s.rank,
                            View(w.qkv, rows, s.qkv()), Products());
      Rotate(w.qkv, s.qkv(), false);
      HybridAttentionOutputs out;
      out.y = Heads(w.a, rows, s.H, s.D, s.q() + s.rank);
      out.softmax_den = TensorView(w.softmax_den.data(), {s.H, rows});
      out.linear_den = TensorView(w.linear_den.data(), {s.H, rows});
      HybridAttentionForwardCuda({}, config, Inputs(w.qkv), nullptr, out,
                                 Attention());
      LoraFoldedForwardCuda({}, plans, View(w.a, rows, s.q() + s.rank),
                            OWeight(w), s.rank, View(delta, rows, s.hidden),
                            Products());
      Mlp(w, w);
    }
    Head();
    for (int64_t i = s.layers - 1; i >= 0; --i) BackwardLayer(i);
    trained.Step(step);
  }

  // Of the last step: nats a token, or the squared error of an element.
  double Loss(bool finetune) const {
    if (!finetune) {
      return error.Host()[0] / static_cast<double>(s.layers * rows * s.q());
    }
    const std::vector<float> all = nll.Host();
    return std::accumulate(all.begin(), all.end(), 0.0) / all.size();
  }
  double Parameters(bool with_head) const {
    return static_cast<double>(s.layers) *
               (s.hidden * (s.qkv() + s.q() + 3 * s.inner)) +
           (with_head ? s.hidden * s.vocabulary : 0);
  }

  const Shape s;
  const int64_t rows;

 private:
  // The width of a stream's gradient: it is the dy of a folded projection.
  int64_t Wide() const { return s.hidden + s.rank; }
  Workspace Products() const { return {products.data(), products.size()}; }
  Workspace Attention() const { return {attention.data(), attention.size()}; }
  TensorView Q(const Bf16& x, int64_t extra = 0) const {
    return Heads(x, rows, s.H, s.D, s.qkv() + extra);
  }
  TensorView K(const Bf16& x, int64_t extra = 0) const {
    return Heads(x, rows, s.Hkv, s.D, s.qkv() + extra, s.q());
  }
  TensorView V(const Bf16& x, int64_t extra = 0) const {
    return Heads(x, rows, s.Hkv, s.D, s.qkv() + extra, s.q() + s.kv());
  }
  TensorView QkvWeight(const Layer& w) const {
    return View(w.qkv_weight, s.qkv() + 3 * s.rank, s.hidden + 3 * s.rank);
  }
  TensorView OWeight(const Layer& w) const {
    return View(w.o_weight, s.hidden + s.rank, s.q() + s.rank);
  }
  HybridAttentionInputs Inputs(const Bf16& qkv) const {
    HybridAttentionInputs in;
    in.q = Q(qkv), in.k = K(qkv), in.v = V(qkv);
    in.weight_q = TensorView(maps.data(), {s.H, s.D, s.F});
    in.weight_k = TensorView(maps.data() + s.H * s.D * s.F, {s.H, s.D, s.F});
    in.window_factor = VectorView(factor);
    in.offsets = offsets.data();
    in.sequences = static_cast<int64_t>(offsets.size()) - 1;
    in.terms = terms.data();
    return in;
  }
  void Product(TensorView x, TensorView weight, TensorView y) {
    MatMulCuda({}, plans, Transpose::kNo, Transpose::kYes, 1, x, weight, 0, y,
               Products());
  }
  // sum = x + delta (or sum is a copy of x), y its norm.
  void Norm(const Bf16& x, const Bf16* add, const Bf16& sum, TensorView y,
            const F32& inv) {
    const TensorView from = View(x, rows, s.hidden);
    if (add == nullptr) {
      CARACAL_CUDA_CHECK(cudaMemcpyAsync(sum.data(), x.data(), x.size() * 2,
                                         cudaMemcpyDeviceToDevice));
      RmsNormForwardCuda({}, from, VectorView(ones), kEps, y, VectorView(inv));
    } else {
      RmsNormAddForwardCuda({}, from, View(*add, rows, s.hidden),
                            VectorView(ones), kEps, View(sum, rows, s.hidden),
                            y, VectorView(inv));
    }
  }
  void Rotate(const Bf16& qkv, int64_t stride, bool inverse) {
    RopeCuda({}, Heads(qkv, rows, s.H + s.Hkv, s.D, stride),
             VectorView(positions), TensorView(cos.data(), {s.length, s.D / 2}),
             TensorView(sin.data(), {s.length, s.D / 2}), inverse);
  }
  // From delta, the attention's part, to delta, the MLP's.
  void Mlp(const Layer& weights, const Layer& w) {
    Norm(w.x1, &delta, w.x2, View(y2, rows, s.hidden), w.inv2);
    Product(View(y2, rows, s.hidden),
            View(weights.up_weight, 2 * s.inner, s.hidden),
            View(w.gate_up, rows, 2 * s.inner));
    SwigluForwardCuda({}, View(w.gate_up, rows, s.inner, 2 * s.inner),
                      View(w.gate_up, rows, s.inner, 2 * s.inner, s.inner),
                      View(h, rows, s.inner));
    Product(View(h, rows, s.inner),
            View(weights.down_weight, s.hidden, s.inner),
            View(delta, rows, s.hidden));
  }

  // Adapters of q, k, v on one projection, then o's: their sizes, and where
  // their outputs begin.
  struct Adapter {
    int64_t out, begin;
  };
  std::vector<Adapter> QkvAdapters() const {
    return {{s.q(), 0}, {s.kv(), s.q()}, {s.kv(), s.q() + s.kv()}};
  }
  void PrepareFinetune() {
    head = RandomOnDevice<uint16_t>(s.vocabulary * s.hidden, 0.02, 11);
    logits = Bf16(kLossRows * s.vocabulary);
    dx = Bf16(rows * Wide());
    dy = Bf16(rows * s.hidden);
    da = Bf16(rows * s.q());
    dqkv = Bf16(rows * (s.qkv() + 3 * s.rank));
    final_x = Bf16(rows * s.hidden);
    final_inv = F32(rows);
    nll = F32(rows);
    for (F32* v : {&row_max, &sum_exp, &target_logit, &lse})
      *v = F32(kLossRows);
    weight = F32(std::vector<float>(kLossRows, 1.0f / rows));
    std::vector<int32_t> ids(rows);
    for (int64_t r = 0; r < rows; ++r) ids[r] = r * 7919 % s.vocabulary;
    targets = DeviceArray<int32_t>(ids);
    for (int64_t i = 0; i < s.layers; ++i) {
      for (const Adapter& a : QkvAdapters()) {
        trained.Add(s.rank * s.hidden);
        trained.Add(a.out * s.rank);
      }
      trained.Add(s.rank * s.q());
      trained.Add(s.hidden * s.rank);
      // B's blocks between the adapters of q, k, v.
      CARACAL_CUDA_CHECK(cudaMemset2D(layers[i].qkv_weight.data() + s.hidden,
                                      (s.hidden + 3 * s.rank) * 2, 0,
                                      3 * s.rank * 2, s.qkv() + 3 * s.rank));
    }
  }
  void Fold(int64_t i) {
    const Layer& w = layers[i];
    const int64_t width = s.hidden + 3 * s.rank;
    int64_t at = 8 * i, j = 0;
    for (const Adapter& a : QkvAdapters()) {
      LoraFoldCuda({}, trained.Param(at, {s.rank, s.hidden}),
                   trained.Param(at + 1, {a.out, s.rank}), kScale,
                   View(w.qkv_weight, s.rank, s.hidden, width,
                        (s.qkv() + j * s.rank) * width),
                   View(w.qkv_weight, a.out, s.rank, width,
                        a.begin * width + s.hidden + j * s.rank));
      at += 2;
      ++j;
    }
    LoraFoldCuda({}, trained.Param(at, {s.rank, s.q()}),
                 trained.Param(at + 1, {s.hidden, s.rank}), kScale,
                 View(w.o_weight, s.rank, s.q(), s.q() + s.rank,
                      s.hidden * (s.q() + s.rank)),
                 View(w.o_weight, s.hidden, s.rank, s.q() + s.rank, s.q()));
  }
  // The loss in chunks, and the gradient of the last layer's output.
  void Head() {
    Norm(layers.back().x2, &delta, final_x, View(y2, rows, s.hidden),
         final_inv);
    for (int64_t at = 0; at < rows; at += kLossRows) {
      const int64_t n = std::min(kLossRows, rows - at);
      const TensorView y = View(y2, n, s.hidden, 0, at * s.hidden);
      const TensorView l = View(logits, n, s.vocabulary);
      const TensorView ids(targets.data() + at, {n});
      const auto first = [&](const F32& v) {
        return TensorView(v.data(), {n});
      };
      Product(y, View(head, s.vocabulary, s.hidden), l);
      CrossEntropyStatisticsCuda({}, l, ids, 0, first(row_max), first(sum_exp),
                                 first(target_logit), {});
      CrossEntropyLossCuda({}, first(row_max), first(sum_exp),
                           first(target_logit), first(lse),
                           TensorView(nll.data() + at, {n}));
      CrossEntropyGradientCuda({}, l, ids, 0, first(lse), first(weight));
      MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1, l,
                 View(head, s.vocabulary, s.hidden), 0,
                 View(dy, n, s.hidden, 0, at * s.hidden), Products());
    }
    RmsNormBackwardCuda({}, View(dy, rows, s.hidden),
                        View(final_x, rows, s.hidden), VectorView(ones),
                        VectorView(final_inv), false,
                        View(dx, rows, s.hidden, Wide()), {}, {});
  }
  void BackwardLayer(int64_t i) {
    const Layer& w = layers[i];
    const TensorView stream = View(dx, rows, s.hidden, Wide());
    const int64_t width = s.hidden + 3 * s.rank;
    const auto product = [&](TensorView d, TensorView weights, TensorView out) {
      MatMulCuda({}, plans, Transpose::kNo, Transpose::kNo, 1, d, weights, 0,
                 out, Products());
    };
    // The MLP; gate and up become their gradients.
    product(stream, View(w.down_weight, s.hidden, s.inner),
            View(h, rows, s.inner));
    const TensorView gate = View(w.gate_up, rows, s.inner, 2 * s.inner);
    const TensorView up = View(w.gate_up, rows, s.inner, 2 * s.inner, s.inner);
    SwigluBackwardCuda({}, View(h, rows, s.inner), gate, up, gate, up);
    product(View(w.gate_up, rows, 2 * s.inner),
            View(w.up_weight, 2 * s.inner, s.hidden), View(dy, rows, s.hidden));
    RmsNormBackwardCuda({}, View(dy, rows, s.hidden),
                        View(w.x2, rows, s.hidden), VectorView(ones),
                        VectorView(w.inv2), true, stream, {}, {});
    // o.
    const int64_t a_width = s.q() + s.rank, o = 8 * i + 6;
    LoraFoldedBackwardCuda({}, plans, View(dx, rows, Wide()), OWeight(w),
                           s.rank, false, View(da, rows, s.q()), Products());
    LoraGradientsCuda({}, plans, stream, View(w.a, rows, s.q(), a_width),
                      View(w.a, rows, s.rank, a_width, s.q()),
                      View(dx, rows, s.rank, Wide(), s.hidden), kScale,
                      trained.Grad(o, {s.rank, s.q()}),
                      trained.Grad(o + 1, {s.hidden, s.rank}), Products());
    // Attention.
    HybridAttentionCotangent cotangent;
    cotangent.dy = Heads(da, rows, s.H, s.D, s.q());
    HybridAttentionGradients grads;
    const int64_t extra = 3 * s.rank;
    grads.dq = Q(dqkv, extra), grads.dk = K(dqkv, extra);
    grads.dv = V(dqkv, extra);
    const HybridAttentionSaved saved = {
        Heads(w.a, rows, s.H, s.D, a_width),
        TensorView(w.softmax_den.data(), {s.H, rows}),
        TensorView(w.linear_den.data(), {s.H, rows})};
    HybridAttentionBackwardCuda({}, config, Inputs(w.qkv), cotangent, grads,
                                Attention(), CudaVersion::kBest, &saved);
    const int64_t d_width = s.qkv() + extra;
    Rotate(dqkv, d_width, true);
    // q, k, v.
    LoraFoldedBackwardCuda({}, plans, View(dqkv, rows, d_width), QkvWeight(w),
                           extra, false, View(dy, rows, s.hidden), Products());
    int64_t at = 8 * i, j = 0;
    for (const Adapter& a : QkvAdapters()) {
      LoraGradientsCuda({}, plans, View(dqkv, rows, a.out, d_width, a.begin),
                        View(w.y1, rows, s.hidden, width),
                        View(w.y1, rows, s.rank, width, s.hidden + j * s.rank),
                        View(dqkv, rows, s.rank, d_width, s.qkv() + j * s.rank),
                        kScale, trained.Grad(at, {s.rank, s.hidden}),
                        trained.Grad(at + 1, {a.out, s.rank}), Products());
      at += 2;
      ++j;
    }
    RmsNormBackwardCuda({}, View(dy, rows, s.hidden),
                        View(w.x1, rows, s.hidden), VectorView(ones),
                        VectorView(w.inv1), true, stream, {}, {});
  }
  void AllocateAttention(bool finetune) {
    const Layer& w = finetune ? layers[0] : *work;
    const HybridAttentionInputs in = Inputs(w.qkv);
    HybridAttentionCotangent cotangent;
    HybridAttentionGradients grads;
    if (finetune) {
      cotangent.dy = Heads(da, rows, s.H, s.D, s.q());
      grads.dq = Q(dqkv, 3 * s.rank), grads.dk = K(dqkv, 3 * s.rank);
      grads.dv = V(dqkv, 3 * s.rank);
    } else {
      cotangent.target = Heads(w.a, rows, s.H, s.D, s.q());
      grads.dweight_q = trained.Grad(0, {s.H, s.D, s.F});
      grads.dweight_k = trained.Grad(1, {s.H, s.D, s.F});
    }
    CausalAttentionInputs full;
    full.offsets = offsets.data();
    full.sequences = in.sequences;
    attention = DeviceArray<char>(
        std::max({HybridAttentionForwardCudaWorkspaceBytes(config, in),
                  HybridAttentionBackwardCudaWorkspaceBytes(config, in,
                                                            cotangent, grads),
                  CausalAttentionForwardCudaWorkspaceBytes(full)}));
  }

  std::deque<Layer> layers;
  std::unique_ptr<Layer> work;
  MatMulCudaPlans plans;
  DeviceArray<char> products, attention;
  F32 ones, maps, factor, cos, sin;
  Bf16 input, delta, y2, h;
  DeviceArray<int32_t> positions, targets;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  HybridAttentionConfig config;
  Trained trained;
  DeviceArray<double> error;
  // Of a fine-tune.
  Bf16 head, logits, dx, dy, da, dqkv, final_x;
  F32 final_inv, nll, row_max, sum_exp, target_logit, lse, weight;
};

int Main(int argc, char** argv) {
  const std::string stage = argc > 1 ? argv[1] : "";
  const std::string size = argc > 2 ? argv[2] : "8b";
  const bool finetune = stage == "finetune";
  if ((!finetune && stage != "transfer") || (size != "8b" && size != "135m")) {
    std::fprintf(stderr, "usage: %s transfer|finetune [8b|135m] [rows]\n",
                 argv[0]);
    return 2;
  }
  const Shape shape = size == "8b" ? Shape{4096, 32, 8, 128, 14336, 32, 128256}
                                   : Shape{576, 9, 3, 64, 1536, 30, 49152};
  const int64_t sequences = argc > 3 ? std::atoll(argv[3]) : 8;
  bench::PrintDevice();
  Model model(shape, sequences, finetune);
  int64_t step = 0;
  const auto run = [&](int) {
    ++step;
    finetune ? model.Finetune(step) : model.Transfer(step);
  };
  run(0);
  const double first = model.Loss(finetune);
  const bench::Times t = bench::Measure(run);
  size_t free = 0, total = 0;
  CARACAL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const double tokens = static_cast<double>(model.rows);
  const double flop =
      (finetune ? 4 : 2) * model.Parameters(/*with_head=*/finetune) * tokens;
  std::printf(
      "%s %s, %ld x %ld tokens: %.1f ms (%.1f - %.1f), %.0f tokens/s, MFU "
      "%.1f%% of 989 TFLOP/s, %.1f GiB\n",
      stage.c_str(), size.c_str(), static_cast<long>(sequences),
      static_cast<long>(shape.length), t.median, t.low, t.high,
      tokens / t.median * 1e3, flop / t.median * 1e3 / 989e12 * 100,
      static_cast<double>(total - free) / (1 << 30));
  std::printf("loss of step 1: %.6g, of step %ld: %.6g\n", first,
              static_cast<long>(step), model.Loss(finetune));
  return 0;
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) { return caracal::kernels::Main(argc, argv); }
