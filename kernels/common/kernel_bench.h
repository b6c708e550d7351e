// What the benchmarks of kernels share: one pool over this machine's cores,
// operands, and rates. A benchmark's `time` is wall time.
#ifndef CARACAL_KERNELS_COMMON_KERNEL_BENCH_H_
#define CARACAL_KERNELS_COMMON_KERNEL_BENCH_H_

#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"
#include "kernels/common/thread_pool.h"

namespace caracal::bench {

inline const Context& MachineContext() {
  static ThreadPool pool(AvailableCores());
  static const Context ctx = [] {
    Context c;
    c.pool = &pool;
    return c;
  }();
  return ctx;
}

// A contiguous matrix of small numbers of either sign.
class Operand {
 public:
  Operand(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), data_(rows * columns) {
    for (size_t i = 0; i < data_.size(); ++i) {
      data_[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 64;
    }
  }
  TensorView view() { return TensorView(data_.data(), {rows_, columns_}); }
  TensorView vector() { return TensorView(data_.data(), {rows_ * columns_}); }

 private:
  int64_t rows_, columns_;
  std::vector<float> data_;
};

// GFLOP/s of an iteration that does `flop` operations.
inline void ReportFlop(benchmark::State& state, double flop) {
  state.counters["GFLOP/s"] = benchmark::Counter(
      flop * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

// GB/s of an iteration that moves `bytes`.
inline void ReportBytes(benchmark::State& state, double bytes) {
  state.counters["GB/s"] = benchmark::Counter(
      bytes * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace caracal::bench

#endif  // CARACAL_KERNELS_COMMON_KERNEL_BENCH_H_
