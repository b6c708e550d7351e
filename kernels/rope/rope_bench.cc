// GB/s of RoPE on the queries and keys of SmolLM2-135M.
//     bazel run -c opt //kernels/rope:rope_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/rope/rope.h"

namespace caracal::kernels {
namespace {

void BM_Rope(benchmark::State& state) {
  const int64_t rows = state.range(0), heads = state.range(1), dim = 64;
  bench::Operand x(rows, heads * dim), cos(512, dim / 2), sin(512, dim / 2);
  std::vector<int32_t> positions(rows);
  for (int64_t r = 0; r < rows; ++r) positions[r] = r % 512;
  const TensorView at(positions.data(), {rows});
  for (auto _ : state) {
    Rope(bench::MachineContext(), x.view().Reshaped({rows, heads, dim}), at,
         cos.view(), sin.view(), false);
  }
  bench::ReportBytes(state, 2.0 * 4 * rows * heads * dim);
}
BENCHMARK(BM_Rope)
    ->Args({1, 9})
    ->Args({2048, 9})
    ->Args({2048, 3})
    ->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
