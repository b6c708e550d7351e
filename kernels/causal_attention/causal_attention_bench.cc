// Time of one layer's causal attention, SmolLM2-135M's shape:
//   bazel run //kernels/causal_attention:causal_attention_bench
// GFLOP/s counts what lies on and below the diagonal; a multiply-add is 2.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "kernels/causal_attention/causal_attention.h"
#include "kernels/common/kernel_testing.h"

namespace caracal::kernels {
namespace {

constexpr int64_t kHeads = 9, kKvHeads = 3, kD = 64;

struct Layer {
  Layer(int64_t batch, int64_t queries, int64_t keys, int threads)
      : pool(threads), rows(batch * queries) {
    ::caracal::testing::Uniform random(1);
    for (auto* values : {&q, &y, &dy, &dq}) values->resize(rows * kHeads * kD);
    for (auto* values : {&k, &v, &dk, &dv}) {
      values->resize(batch * keys * kKvHeads * kD);
    }
    lse.resize(kHeads * rows);
    for (auto* values : {&q, &k, &v, &dy}) {
      for (float& x : *values) x = static_cast<float>(random());
    }
    for (int64_t i = 0; i <= batch; ++i) {
      offsets.push_back(i * queries);
      key_offsets.push_back(i * keys);
    }
    in.q = Rows(q, kHeads);
    in.k = Rows(k, kKvHeads);
    in.v = Rows(v, kKvHeads);
    in.offsets = offsets.data();
    if (keys != queries) in.key_offsets = key_offsets.data();
    in.sequences = batch;
    ctx.pool = &pool;
  }
  static TensorView Rows(std::vector<float>& values, int64_t heads) {
    return TensorView(
        values.data(),
        {static_cast<int64_t>(values.size()) / (heads * kD), heads, kD});
  }
  Workspace Reserve(size_t bytes) {
    memory.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
    return {memory.get(), bytes};
  }
  void Report(benchmark::State& state, double products) {
    const double B = offsets.size() - 1, queries = rows / B;
    const double keys = key_offsets[1] - (queries - 1) / 2;
    state.counters["tokens/s"] =
        benchmark::Counter(rows, benchmark::Counter::kIsIterationInvariantRate);
    state.counters["GFLOP/s"] =
        benchmark::Counter(products * 2 * rows * kHeads * keys * kD * 1e-9,
                           benchmark::Counter::kIsIterationInvariantRate);
  }

  ThreadPool pool;
  Context ctx;
  int64_t rows;
  std::vector<float> q, k, v, y, dy, dq, dk, dv, lse;
  std::vector<int64_t> offsets, key_offsets;
  CausalAttentionInputs in;
  std::unique_ptr<void, decltype(&std::free)> memory{nullptr, &std::free};
};

// Arguments: sequences, queries and keys of each, threads.
void BM_Forward(benchmark::State& state) {
  Layer layer(state.range(0), state.range(1), state.range(2),
              static_cast<int>(state.range(3)));
  const Workspace workspace =
      layer.Reserve(CausalAttentionWorkspaceBytes(layer.ctx, layer.in));
  const TensorView y = Layer::Rows(layer.y, kHeads);
  for (auto _ : state) {
    CausalAttentionForward(layer.ctx, layer.in, y, TensorView(), workspace);
  }
  layer.Report(state, 2);
}

void BM_Backward(benchmark::State& state) {
  Layer layer(state.range(0), state.range(1), state.range(2),
              static_cast<int>(state.range(3)));
  const TensorView y = Layer::Rows(layer.y, kHeads);
  const TensorView lse(layer.lse.data(), {kHeads, layer.rows});
  Workspace workspace =
      layer.Reserve(CausalAttentionWorkspaceBytes(layer.ctx, layer.in));
  CausalAttentionForward(layer.ctx, layer.in, y, lse, workspace);
  workspace =
      layer.Reserve(CausalAttentionBackwardWorkspaceBytes(layer.ctx, layer.in));
  for (auto _ : state) {
    CausalAttentionBackward(
        layer.ctx, layer.in, y, lse, Layer::Rows(layer.dy, kHeads),
        Layer::Rows(layer.dq, kHeads), Layer::Rows(layer.dk, kKvHeads),
        Layer::Rows(layer.dv, kKvHeads), workspace);
  }
  layer.Report(state, 5);
}

void Sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"B", "queries", "keys", "threads"});
  b->Args({4, 512, 512, 1})->Args({4, 512, 512, 2})->Args({1, 2048, 2048, 2});
  b->Unit(benchmark::kMillisecond)->UseRealTime();
}

BENCHMARK(BM_Forward)
    ->Apply(Sizes)
    ->Args({1, 1, 512, 2})
    ->Args({1, 1, 8000, 2});
BENCHMARK(BM_Backward)->Apply(Sizes);

}  // namespace
}  // namespace caracal::kernels
