// Decoding rates: bazel run -c opt //kernels/quant:quant_bench. GB/s counts
// encoded bytes read, weights/s counts weights. The matrices are larger than
// the caches, as in a model. SmolToken is every matrix of one generated token
// of SmolLM2-135M (Q4_1 layers, Q8_0 head).
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/quant/dequantize.h"
#include "kernels/quant/mat_vec.h"
#include "kernels/quant/random_blocks.h"

namespace caracal::kernels {
namespace {

constexpr int64_t kRows = 24576, kColumns = 1536;

void SetRates(benchmark::State& state, const EncodedView& w) {
  const double runs = static_cast<double>(state.iterations());
  state.counters["GB/s"] = benchmark::Counter(
      runs * w.rows * w.row_bytes * 1e-9, benchmark::Counter::kIsRate);
  state.counters["weights/s"] = benchmark::Counter(runs * w.rows * w.columns,
                                                   benchmark::Counter::kIsRate);
  state.SetLabel(NameOf(w.encoding));
}

// Arguments: encoding, threads.
void BM_Dequantize(benchmark::State& state) {
  const RandomMatrix w = MakeRandomMatrix(static_cast<Encoding>(state.range(0)),
                                          kRows, kColumns, 1);
  ThreadPool pool(static_cast<int>(state.range(1)));
  std::vector<float> out(kRows * kColumns);
  for (auto _ : state) {
    Dequantize({.pool = &pool}, w.view,
               TensorView(out.data(), {kRows, kColumns}));
    benchmark::ClobberMemory();
  }
  SetRates(state, w.view);
}
BENCHMARK(BM_Dequantize)
    ->ArgsProduct({benchmark::CreateDenseRange(0, kEncodingCount - 1, 1),
                   {1, 2}})
    ->UseRealTime()
    ->MinTime(0.1);

// Arguments: encoding, threads, batch.
void BM_QuantMatVec(benchmark::State& state) {
  const RandomMatrix w = MakeRandomMatrix(static_cast<Encoding>(state.range(0)),
                                          kRows, kColumns, 1);
  const int64_t batch = state.range(2);
  ThreadPool pool(static_cast<int>(state.range(1)));
  const std::vector<float> x(batch * kColumns, 0.5f);
  std::vector<float> y(batch * kRows);
  for (auto _ : state) {
    QuantMatVec({.pool = &pool}, w.view,
                ConstTensorView(x.data(), {batch, kColumns}),
                TensorView(y.data(), {batch, kRows}), 0);
    benchmark::ClobberMemory();
  }
  SetRates(state, w.view);
}
BENCHMARK(BM_QuantMatVec)
    ->ArgsProduct({benchmark::CreateDenseRange(0, kEncodingCount - 1, 1),
                   {1, 2},
                   {1, 4, 8}})
    ->UseRealTime()
    ->MinTime(0.1);

// Argument: threads.
void BM_SmolToken(benchmark::State& state) {
  constexpr int64_t kShapes[][2] = {{576, 576}, {192, 576},  {192, 576},
                                    {576, 576}, {1536, 576}, {1536, 576},
                                    {576, 1536}};
  std::vector<RandomMatrix> matrices;
  for (int layer = 0; layer < 30; ++layer) {
    for (const auto& [rows, columns] : kShapes) {
      matrices.push_back(
          MakeRandomMatrix(Encoding::kQ4_1, rows, columns, layer));
    }
  }
  matrices.push_back(MakeRandomMatrix(Encoding::kQ8_0, 49152, 576, 99));
  ThreadPool pool(static_cast<int>(state.range(0)));
  const std::vector<float> x(1536, 0.5f);
  std::vector<float> y(49152);
  for (auto _ : state) {
    for (const RandomMatrix& w : matrices) {
      QuantMatVec({.pool = &pool}, w.view,
                  ConstTensorView(x.data(), {w.view.columns}),
                  TensorView(y.data(), {w.view.rows}), 0);
    }
    benchmark::ClobberMemory();
  }
  state.counters["tokens/s"] =
      benchmark::Counter(state.iterations(), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_SmolToken)->Arg(1)->Arg(2)->UseRealTime()->MinTime(0.5);

}  // namespace
}  // namespace caracal::kernels
