// GB/s of RMSNorm at the width of SmolLM2-135M.
//     bazel run -c opt //kernels/rms_norm:rms_norm_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/rms_norm/rms_norm.h"

namespace caracal::kernels {
namespace {

using bench::MachineContext;
using bench::Operand;

constexpr int64_t kColumns = 576;

void BM_RmsNormForward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand x(rows, kColumns), w(1, kColumns), y(rows, kColumns), inv(rows, 1);
  for (auto _ : state) {
    RmsNormForward(MachineContext(), x.view(), w.vector(), 1e-5f, y.view(),
                   inv.vector());
  }
  bench::ReportBytes(state, 2.0 * 4 * rows * kColumns);
}
BENCHMARK(BM_RmsNormForward)->Arg(1)->Arg(2048)->UseRealTime();

void BM_RmsNormBackward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const bool with_weight = state.range(1) != 0;
  Operand x(rows, kColumns), w(1, kColumns), dy(rows, kColumns), inv(rows, 1);
  Operand dx(rows, kColumns), dw(1, kColumns);
  for (auto _ : state) {
    RmsNormBackward(MachineContext(), dy.view(), x.view(), w.vector(),
                    inv.vector(), false, dx.view(),
                    with_weight ? dw.vector() : TensorView());
  }
  bench::ReportBytes(state, (with_weight ? 5.0 : 3.0) * 4 * rows * kColumns);
}
BENCHMARK(BM_RmsNormBackward)->Args({2048, 0})->Args({2048, 1})->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
