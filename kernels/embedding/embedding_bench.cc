// GB/s of the embedding at the width of SmolLM2-135M.
//     bazel run -c opt //kernels/embedding:embedding_bench
#include "kernels/common/kernel_bench.h"
#include "kernels/embedding/embedding.h"

namespace caracal::kernels {
namespace {

using bench::Operand;

constexpr int64_t kVocabulary = 49152, kColumns = 576;

std::vector<int32_t> ScatteredIds(int64_t rows) {
  std::vector<int32_t> ids(rows);
  for (int64_t r = 0; r < rows; ++r) ids[r] = r * 7919 % kVocabulary;
  return ids;
}

void BM_EmbeddingForward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand table(kVocabulary, kColumns), out(rows, kColumns);
  std::vector<int32_t> ids = ScatteredIds(rows);
  for (auto _ : state) {
    EmbeddingForward(bench::MachineContext(), TensorView(ids.data(), {rows}),
                     table.view(), 0, out.view());
  }
  bench::ReportBytes(state, 2.0 * 4 * rows * kColumns);
}
BENCHMARK(BM_EmbeddingForward)->Arg(2048)->UseRealTime();

void BM_EmbeddingBackward(benchmark::State& state) {
  const int64_t rows = state.range(0);
  Operand table(kVocabulary, kColumns), dout(rows, kColumns);
  std::vector<int32_t> ids = ScatteredIds(rows);
  for (auto _ : state) {
    EmbeddingBackward(bench::MachineContext(), TensorView(ids.data(), {rows}),
                      dout.view(), 0, table.view());
  }
  bench::ReportBytes(state, 3.0 * 4 * rows * kColumns);
}
BENCHMARK(BM_EmbeddingBackward)->Arg(2048)->UseRealTime();

}  // namespace
}  // namespace caracal::kernels

BENCHMARK_MAIN();
