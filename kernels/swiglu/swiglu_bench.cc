// GB/s of SwiGLU at the width of SmolLM2-135M.
//     bazel run -c opt //kernels/swiglu:swiglu_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/swiglu/swiglu.h"

namespace caracal::kernels {
namespace {

using bench::MachineContext;
using bench::Operand;

constexpr int64_t kColumns = 1536;

void BM_SwigluForward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand gate(rows, kColumns), up(rows, kColumns), out(rows, kColumns);
  for (auto _ : state) {
    SwigluForward(MachineContext(), gate.view(), up.view(), out.view());
  }
  bench::ReportBytes(state, 3.0 * 4 * rows * kColumns);
}
BENCHMARK(BM_SwigluForward)->Arg(1)->Arg(2048)->UseRealTime();

void BM_SwigluBackward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand gate(rows, kColumns), up(rows, kColumns), dout(rows, kColumns);
  Operand dgate(rows, kColumns), dup(rows, kColumns);
  for (auto _ : state) {
    SwigluBackward(MachineContext(), dout.view(), gate.view(), up.view(),
                   dgate.view(), dup.view());
  }
  bench::ReportBytes(state, 5.0 * 4 * rows * kColumns);
}
BENCHMARK(BM_SwigluBackward)->Arg(2048)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
