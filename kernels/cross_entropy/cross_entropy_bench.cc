// GB/s of cross-entropy on a chunk of rows of SmolLM2's vocabulary.
//     bazel run -c opt //kernels/cross_entropy:cross_entropy_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace caracal::kernels {
namespace {

using bench::MachineContext;
using bench::Operand;

constexpr int64_t kVocabulary = 49152;

void BM_CrossEntropyStatistics(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand logits(rows, kVocabulary), max(rows, 1), sum(rows, 1), hit(rows, 1);
  std::vector<int32_t> targets(rows, 7), best(rows);
  for (auto _ : state) {
    CrossEntropyStatistics(MachineContext(), logits.view(),
                           TensorView(targets.data(), {rows}), 0, max.vector(),
                           sum.vector(), hit.vector(),
                           TensorView(best.data(), {rows}));
  }
  bench::ReportBytes(state, 4.0 * rows * kVocabulary);
}
BENCHMARK(BM_CrossEntropyStatistics)->Arg(1)->Arg(128)->UseRealTime();

void BM_CrossEntropyGradient(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand logits(rows, kVocabulary), lse(rows, 1), weight(rows, 1);
  std::vector<int32_t> targets(rows, 7);
  for (auto _ : state) {
    CrossEntropyGradient(MachineContext(), logits.view(),
                         TensorView(targets.data(), {rows}), 0, lse.vector(),
                         weight.vector());
  }
  bench::ReportBytes(state, 2.0 * 4 * rows * kVocabulary);
}
BENCHMARK(BM_CrossEntropyGradient)->Arg(128)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
