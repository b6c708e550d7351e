// Time of one layer's hybrid attention, SmolLM2-135M's shape by default:
//   bazel run -c opt //kernels/hybrid_attention:hybrid_attention_bench
// tokens/s counts rows; GFLOP/s counts the work the algorithm needs (features,
// window, state; a multiply-add is 2), not what a block version spends.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "kernels/common/kernel_testing.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal::kernels {
namespace {

using ::caracal::testing::Uniform;

constexpr int64_t kHeads = 9, kKvHeads = 3, kD = 64, kF = 64, kFout = 128;
constexpr int64_t kWindow = 64;

// Products per row and head: two feature maps, scores and values of the
// window, reading and updating the state.
constexpr double kForwardFlops =
    2.0 * (2 * kD * kF + 2 * kWindow * kD + 2 * kFout * kD);
// Transfer: the forward, the gradient of the linear weights through both
// states, and dW of both maps.
constexpr double kTransferFlops =
    kForwardFlops + 2.0 * (3 * kFout * kD + 2 * kD * kF);
// Fine-tuning adds dq, dk, dv: through the window, the state and the maps.
constexpr double kBackwardFlops =
    kForwardFlops + 2.0 * (4 * kFout * kD + 4 * kWindow * kD + 2 * kD * kF);

struct Layer {
  Layer(int64_t batch, int64_t length, uint8_t terms_of_all, int threads)
      : pool(threads), rows(batch * length) {
    Uniform random(1);
    const auto fill = [&](std::vector<float>& values, int64_t n, double size) {
      values.resize(n);
      for (float& v : values) v = static_cast<float>(size * random());
    };
    fill(q, rows * kHeads * kD, 1);
    fill(k, rows * kKvHeads * kD, 1);
    fill(v, rows * kKvHeads * kD, 1);
    fill(dy, rows * kHeads * kD, 1);
    fill(weight_q, kHeads * kD * kF, 0.2);
    fill(weight_k, kHeads * kD * kF, 0.2);
    factor.assign(kHeads, -2.1972245773362196f);
    y.resize(q.size());
    dq.resize(q.size());
    dk.resize(k.size());
    dv.resize(v.size());
    dweight_q.resize(weight_q.size());
    dweight_k.resize(weight_k.size());
    dfactor.resize(kHeads);
    terms.assign(batch * kHeads, terms_of_all);
    for (int64_t i = 0; i <= batch; ++i) offsets.push_back(i * length);
    config.window = kWindow;
    in.q = TensorView(q.data(), {rows, kHeads, kD});
    in.k = TensorView(k.data(), {rows, kKvHeads, kD});
    in.v = TensorView(v.data(), {rows, kKvHeads, kD});
    in.weight_q = TensorView(weight_q.data(), {kHeads, kD, kF});
    in.weight_k = TensorView(weight_k.data(), {kHeads, kD, kF});
    in.window_factor = TensorView(factor.data(), {kHeads});
    in.offsets = offsets.data();
    in.sequences = batch;
    in.terms = terms.data();
    ctx.pool = &pool;
  }

  Workspace Reserve(size_t bytes) {
    memory.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    return {memory.get(), bytes};
  }

  ThreadPool pool;
  Context ctx;
  int64_t rows;
  std::vector<float> q, k, v, dy, weight_q, weight_k, factor, y;
  std::vector<float> dq, dk, dv, dweight_q, dweight_k, dfactor;
  std::vector<int64_t> offsets;
  std::vector<uint8_t> terms;
  HybridAttentionConfig config;
  HybridAttentionInputs in;
  std::unique_ptr<void, decltype(&std::free)> memory{nullptr, &std::free};
};

void Report(benchmark::State& state, int64_t rows, double flops_per_row_head) {
  state.counters["tokens/s"] = benchmark::Counter(
      static_cast<double>(rows), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GFLOP/s"] =
      benchmark::Counter(rows * kHeads * flops_per_row_head * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate);
}

void BM_Forward(benchmark::State& state, uint8_t terms) {
  Layer layer(state.range(0), state.range(1), terms,
              static_cast<int>(state.range(2)));
  HybridAttentionOutputs out;
  out.y = TensorView(layer.y.data(), {layer.rows, kHeads, kD});
  const Workspace workspace = layer.Reserve(
      HybridAttentionForwardWorkspaceBytes(layer.ctx, layer.config, layer.in));
  for (auto _ : state) {
    HybridAttentionForward(layer.ctx, layer.config, layer.in, nullptr, out,
                           workspace);
  }
  Report(state, layer.rows, kForwardFlops);
}

void BM_Backward(benchmark::State& state, uint8_t terms, bool transfer) {
  Layer layer(state.range(0), state.range(1), terms,
              static_cast<int>(state.range(2)));
  HybridAttentionGradients grads;
  HybridAttentionCotangent cotangent;
  double squared_error = 0;
  const TensorView dy(layer.dy.data(), {layer.rows, kHeads, kD});
  if (transfer) {
    grads.dweight_q = TensorView(layer.dweight_q.data(), {kHeads, kD, kF});
    grads.dweight_k = TensorView(layer.dweight_k.data(), {kHeads, kD, kF});
    grads.dwindow_factor = TensorView(layer.dfactor.data(), {kHeads});
    cotangent.target = dy;
    cotangent.scale = 1;
    cotangent.squared_error = &squared_error;
  } else {
    grads.dq = TensorView(layer.dq.data(), {layer.rows, kHeads, kD});
    grads.dk = TensorView(layer.dk.data(), {layer.rows, kKvHeads, kD});
    grads.dv = TensorView(layer.dv.data(), {layer.rows, kKvHeads, kD});
    cotangent.dy = dy;
  }
  const Workspace workspace =
      layer.Reserve(HybridAttentionBackwardWorkspaceBytes(
          layer.ctx, layer.config, layer.in, grads));
  for (auto _ : state) {
    HybridAttentionBackward(layer.ctx, layer.config, layer.in, cotangent, grads,
                            workspace);
  }
  Report(state, layer.rows, transfer ? kTransferFlops : kBackwardFlops);
}

// One new token after a long past.
void BM_Decode(benchmark::State& state) {
  Layer layer(1, 1, kHybridTerms, static_cast<int>(state.range(0)));
  std::vector<float> past(2 * (kWindow - 1) * kKvHeads * kD, 0.5f);
  std::vector<float> carried(kHeads * kFout * (kD + 1), 0.01f);
  const int64_t length = 5000;
  HybridAttentionPast p;
  p.length = &length;
  p.past_k = TensorView(past.data(), {1, kWindow - 1, kKvHeads, kD});
  p.past_v =
      TensorView(past.data() + past.size() / 2, {1, kWindow - 1, kKvHeads, kD});
  p.state = TensorView(carried.data(), {1, kHeads, kFout, kD});
  p.state_norm =
      TensorView(carried.data() + kHeads * kFout * kD, {1, kHeads, kFout});
  HybridAttentionOutputs out;
  out.y = TensorView(layer.y.data(), {1, kHeads, kD});
  const Workspace workspace = layer.Reserve(
      HybridAttentionForwardWorkspaceBytes(layer.ctx, layer.config, layer.in));
  for (auto _ : state) {
    HybridAttentionForward(layer.ctx, layer.config, layer.in, &p, out,
                           workspace);
  }
  Report(state, 1, kForwardFlops);
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"B", "T", "threads"})->Args({4, 512, 1})->Args({4, 512, 2});
  b->Args({1, 4096, 1})->Args({1, 4096, 2})->Args({1, 16384, 1});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK_CAPTURE(BM_Forward, hybrid, kHybridTerms)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Forward, swa_only, kSwaOnlyTerms)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Forward, la_only, kLaOnlyTerms)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Backward, transfer, kHybridTerms, true)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Backward, finetune, kHybridTerms, false)->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Backward, finetune_swa_only, kSwaOnlyTerms, false)
    ->Apply(Sizes);
BENCHMARK_CAPTURE(BM_Backward, finetune_la_only, kLaOnlyTerms, false)
    ->Apply(Sizes);
BENCHMARK(BM_Decode)->ArgName("threads")->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels
