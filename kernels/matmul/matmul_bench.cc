// GFLOP/s of MatMul at the shapes of SmolLM2-135M, and GB/s of one row.
//     bazel run -c opt //kernels/matmul:matmul_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/matmul/matmul.h"

namespace caracal::kernels {
namespace {

using bench::Operand;

void RunProduct(benchmark::State& state, Transpose ta, Transpose tb) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const bool at = ta == Transpose::kYes, bt = tb == Transpose::kYes;
  Operand a(at ? k : m, at ? m : k), b(bt ? n : k, bt ? k : n), c(m, n);
  for (auto _ : state) {
    MatMul(bench::MachineContext(), ta, tb, 1, a.view(), b.view(), 0, c.view());
  }
  bench::ReportFlop(state, 2.0 * m * n * k);
  if (m == 1) bench::ReportBytes(state, 4.0 * n * k);
  state.SetLabel(MatMulLibraryCore());
}

void BM_MatMulNT(benchmark::State& state) {
  RunProduct(state, Transpose::kNo, Transpose::kYes);
}
void BM_MatMulNN(benchmark::State& state) {
  RunProduct(state, Transpose::kNo, Transpose::kNo);
}
void BM_MatMulTN(benchmark::State& state) {
  RunProduct(state, Transpose::kYes, Transpose::kNo);
}

// M, then (N, K) of qkv, attention output, gate and up, down, vocabulary.
void ForwardShapes(benchmark::internal::Benchmark* b) {
  for (int64_t m : {1, 512, 2048}) {
    b->Args({m, 960, 576})->Args({m, 576, 576})->Args({m, 3072, 576});
    b->Args({m, 576, 1536});
  }
  b->Args({1, 49152, 576})->Args({512, 49152, 576});
}
// Gradients of the inputs: the same weights, not transposed.
void BackwardShapes(benchmark::internal::Benchmark* b) {
  b->Args({2048, 576, 960})->Args({2048, 576, 576})->Args({2048, 576, 3072});
  b->Args({2048, 1536, 576})->Args({512, 576, 49152});
}
// Gradients of weights.
void WeightShapes(benchmark::internal::Benchmark* b) {
  b->Args({960, 576, 2048})->Args({576, 1536, 2048});
}
BENCHMARK(BM_MatMulNT)->Apply(ForwardShapes)->UseRealTime();
BENCHMARK(BM_MatMulNN)->Apply(BackwardShapes)->UseRealTime();
BENCHMARK(BM_MatMulTN)->Apply(WeightShapes)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
