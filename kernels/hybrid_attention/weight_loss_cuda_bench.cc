// Times of one layer's loss on attention weights on the GPU, feature maps and
// all gradients included:
//     weight_loss_cuda_bench [H Hkv D F W S rows T]...
// By default the 8B shape's (32 8 128 64 64 0 8192 1024) and the 135M shape's.
// Of linear attention alone, as the presets train it, and of hybrid heads; a
// median of repeats over two sets of inputs, with quantiles.
//
// FLOP counts the algorithm's own work on (T + 1) / 2 keys a row, and head (a
// multiply-add is 2): 2 D scores, 2 Fout linear terms, 4 Fout their gradients;
// and 4 D F a row for each map, forward and gradient.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/common/cuda_bench.h"
#include "kernels/common/cuda_testing.h"
#include "kernels/hybrid_attention/weight_loss_cuda.h"

namespace caracal::kernels {
namespace {

using ::caracal::bench::Measure;
using ::caracal::bench::RandomOnDevice;
using ::caracal::bench::Times;
using ::caracal::testing::DeviceArray;

struct Sizes {
  int64_t H, Hkv, D, F, window, sinks, rows, length;
};

struct Layer {
  Layer(const Sizes& s, uint8_t mode, uint64_t seed)
      : q(RandomOnDevice<uint16_t>(s.rows * s.H * s.D, 1.7, seed)),
        k(RandomOnDevice<uint16_t>(s.rows * s.Hkv * s.D, 1.7, seed + 1)),
        weight_q(RandomOnDevice<float>(s.H * s.D * s.F, 0.09, seed + 2)),
        weight_k(RandomOnDevice<float>(s.H * s.D * s.F, 0.09, seed + 3)),
        factor(std::vector<float>(s.H, -2.1972246f)),
        dweight_q(std::vector<float>(s.H * s.D * s.F)),
        dweight_k(std::vector<float>(s.H * s.D * s.F)),
        dfactor(std::vector<float>(s.H)),
        losses(std::vector<double>(2)) {
    config.window = s.window;
    config.sinks = s.sinks;
    for (int64_t at = 0; at < s.rows; at += s.length) offsets.push_back(at);
    offsets.push_back(s.rows);
    terms.assign((offsets.size() - 1) * s.H, mode);
    in.q = TensorView(q.data(), DType::kBF16, {s.rows, s.H, s.D});
    in.k = in.v = TensorView(k.data(), DType::kBF16, {s.rows, s.Hkv, s.D});
    in.weight_q = TensorView(weight_q.data(), {s.H, s.D, s.F});
    in.weight_k = TensorView(weight_k.data(), {s.H, s.D, s.F});
    in.window_factor = TensorView(factor.data(), {s.H});
    in.offsets = offsets.data();
    in.sequences = static_cast<int64_t>(offsets.size()) - 1;
    in.terms = terms.data();
    grads.dweight_q = TensorView(dweight_q.data(), {s.H, s.D, s.F});
    grads.dweight_k = TensorView(dweight_k.data(), {s.H, s.D, s.F});
    grads.dwindow_factor = TensorView(dfactor.data(), {s.H});
    workspace =
        DeviceArray<char>(AttentionWeightLossCudaWorkspaceBytes(config, in));
  }
  void Run() {
    AttentionWeightLossBackwardCuda({}, config, in, 1.0f, grads, losses.data(),
                                    losses.data() + 1,
                                    {workspace.data(), workspace.size()});
  }

  DeviceArray<uint16_t> q, k;
  DeviceArray<float> weight_q, weight_k, factor;
  DeviceArray<float> dweight_q, dweight_k, dfactor;
  DeviceArray<double> losses;
  DeviceArray<char> workspace;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  HybridAttentionConfig config;
  HybridAttentionInputs in;
  HybridAttentionGradients grads;
};

double Flops(const Sizes& s) {
  const auto D = static_cast<double>(s.D), F = static_cast<double>(s.F);
  const double keys = (static_cast<double>(s.length) + 1) / 2;
  return static_cast<double>(s.rows * s.H) *
         (keys * (2 * D + 6 * 2 * F) + 2 * 4 * D * F);
}

void Run(const Sizes& s) {
  std::printf("H %lld, Hkv %lld, D %lld, F %lld, W %lld, S %lld, %lld x %lld\n",
              static_cast<long long>(s.H), static_cast<long long>(s.Hkv),
              static_cast<long long>(s.D), static_cast<long long>(s.F),
              static_cast<long long>(s.window), static_cast<long long>(s.sinks),
              static_cast<long long>(s.rows / s.length),
              static_cast<long long>(s.length));
  for (const uint8_t mode : {kLaOnlyTerms, kHybridTerms}) {
    std::unique_ptr<Layer> sets[2];
    for (int i = 0; i < 2; ++i) {
      sets[i] = std::make_unique<Layer>(s, mode, 10 * i);
    }
    const Times t = Measure([&](int i) { sets[i]->Run(); });
    std::printf("  %-8s %8.3f ms (%.3f to %.3f)  %6.1f TFLOP/s\n",
                mode == kLaOnlyTerms ? "la_only" : "hybrid", t.median, t.low,
                t.high, Flops(s) / t.median * 1e-9);
  }
}

}  // namespace
}  // namespace caracal::kernels

int main(int argc, char** argv) {
  using caracal::kernels::Sizes;
  std::vector<Sizes> all;
  if (argc > 1 && (argc - 1) % 8 != 0) {
    std::fprintf(stderr, "usage: %s [H Hkv D F W S rows T]...\n", argv[0]);
    return 2;
  }
  for (int i = 1; i < argc; i += 8) {
    Sizes s;
    int64_t* const fields[] = {&s.H,      &s.Hkv,   &s.D,    &s.F,
                               &s.window, &s.sinks, &s.rows, &s.length};
    for (int f = 0; f < 8; ++f) *fields[f] = std::atoll(argv[i + f]);
    if (s.H < 1 || s.Hkv < 1 || s.rows < 1 || s.length < 1) {
      std::fprintf(stderr, "%s: H, Hkv, rows and T are at least 1\n", argv[0]);
      return 2;
    }
    all.push_back(s);
  }
  if (all.empty()) {
    all = {{32, 8, 128, 64, 64, 0, 8192, 1024},
           {9, 3, 64, 64, 64, 0, 32768, 1024}};
  }
  for (const Sizes& s : all) caracal::kernels::Run(s);
}
