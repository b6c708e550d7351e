// GFLOP/s of LoRA beside the projections of SmolLM2-135M.
//     bazel run -c opt //kernels/lora:lora_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/lora/lora.h"

namespace caracal::kernels {
namespace {

using bench::MachineContext;
using bench::Operand;

// rows, in, out, rank.
void Shapes(benchmark::internal::Benchmark* b) {
  b->Args({2048, 576, 576, 8})->Args({2048, 576, 192, 8});
  b->Args({2048, 576, 1536, 16})->Args({2048, 576, 576, 64});
  b->UseRealTime();
}

void BM_LoraForward(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1);
  const int64_t out = state.range(2), rank = state.range(3);
  Operand x(rows, in), a(rank, in), b(out, rank), xa(rows, rank), y(rows, out);
  for (auto _ : state) {
    LoraForward(MachineContext(), x.view(), a.view(), b.view(), 1e-9f,
                xa.view(), y.view());
  }
  bench::ReportFlop(state, 2.0 * rows * rank * (in + out));
}
BENCHMARK(BM_LoraForward)->Apply(Shapes)->Args({1, 576, 576, 8});

void BM_LoraBackward(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1);
  const int64_t out = state.range(2), rank = state.range(3);
  Operand x(rows, in), a(rank, in), b(out, rank), xa(rows, rank), dy(rows, out);
  Operand dxa(rows, rank), da(rank, in), db(out, rank), dx(rows, in);
  for (auto _ : state) {
    LoraBackward(MachineContext(), dy.view(), x.view(), xa.view(), a.view(),
                 b.view(), 1e-9f, dxa.view(), da.view(), db.view(), dx.view());
  }
  bench::ReportFlop(state, 4.0 * rows * rank * (in + out));
}
BENCHMARK(BM_LoraBackward)->Apply(Shapes);

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
