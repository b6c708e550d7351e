// GB/s of AdamW and its companions over flat parameters.
//     bazel run -c opt //kernels/adamw:adamw_bench
#include "kernels/adamw/adamw.h"
#include "kernels/common/kernel_bench.h"

namespace caracal::kernels {
namespace {

using bench::MachineContext;
using bench::Operand;

void BM_AdamWStep(benchmark::State& state) {
  const int64_t n = state.range(0);
  Operand p(1, n), g(1, n), m(1, n), v(1, n);
  // Squares are not negative.
  for (int64_t i = 0; i < n; ++i) v.vector().f32()[i] = 1;
  AdamWConfig config;
  config.lr = 1e-9;
  for (auto _ : state) {
    AdamWStep(MachineContext(), config, p.vector(), g.vector(), m.vector(),
              v.vector());
  }
  bench::ReportBytes(state, 7.0 * 4 * n);
}
BENCHMARK(BM_AdamWStep)->Arg(1 << 14)->Arg(1 << 22)->UseRealTime();

void BM_SumOfSquares(benchmark::State& state) {
  const int64_t n = state.range(0);
  Operand x(1, n);
  for (auto _ : state) {
    benchmark::DoNotOptimize(SumOfSquares(MachineContext(), x.vector()));
  }
  bench::ReportBytes(state, 4.0 * n);
}
BENCHMARK(BM_SumOfSquares)->Arg(1 << 22)->UseRealTime();

void BM_AllFinite(benchmark::State& state) {
  const int64_t n = state.range(0);
  Operand x(1, n);
  for (auto _ : state) {
    benchmark::DoNotOptimize(AllFinite(MachineContext(), x.vector()));
  }
  bench::ReportBytes(state, 4.0 * n);
}
BENCHMARK(BM_AllFinite)->Arg(1 << 22)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
