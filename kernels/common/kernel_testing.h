// What the tests of kernels share: instruction sets to run, numbers to feed,
// and matrices whose start is misaligned and whose padding is watched.
#ifndef CARACAL_KERNELS_COMMON_KERNEL_TESTING_H_
#define CARACAL_KERNELS_COMMON_KERNEL_TESTING_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/common/context.h"
#include "kernels/common/cpu.h"
#include "kernels/common/tensor_view.h"
#include "kernels/common/thread_pool.h"

namespace caracal::testing {

// Half an ulp of 1 in fp32: the unit of every derived tolerance.
inline constexpr double kUnitRoundoff = 0x1p-24;

// Those this machine can run, the scalar one first.
inline std::vector<Isa> AvailableIsas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= BestIsa()) isas.push_back(isa);
  }
  return isas;
}

// Kernels take this path until the end of the scope.
class ScopedIsa {
 public:
  explicit ScopedIsa(Isa isa) : before_(CurrentIsa()) { SetIsa(isa); }
  ~ScopedIsa() { SetIsa(before_); }
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  const Isa before_;
};

// A pool and the context that names it.
struct PoolContext {
  explicit PoolContext(int threads) : pool(threads) { ctx.pool = &pool; }
  ThreadPool pool;
  Context ctx;
};

// Uniform numbers in [low, high), the same on every machine (SplitMix64).
class Uniform {
 public:
  explicit Uniform(uint64_t seed, double low = -1, double high = 1)
      : state_(seed), low_(low), high_(high) {}
  double operator()() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return low_ + (high_ - low_) * static_cast<double>(z >> 11) * 0x1p-53;
  }

 private:
  uint64_t state_;
  double low_, high_;
};

// A row-major fp32 matrix, one float off alignment, whose rows lie `padding`
// floats apart; writes outside its elements are found by PaddingIntact().
class TestMatrix {
 public:
  TestMatrix(int64_t rows, int64_t columns, int64_t padding = 0)
      : rows_(rows),
        columns_(columns),
        stride_(columns + padding),
        storage_(rows * stride_ + 2 * kBorder, kCanary) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) at(r, c) = 0;
    }
  }
  TestMatrix(int64_t rows, int64_t columns, int64_t padding, Uniform fill)
      : TestMatrix(rows, columns, padding) {
    Fill(fill);
  }
  void Fill(Uniform fill) {
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t c = 0; c < columns_; ++c) {
        at(r, c) = static_cast<float>(fill());
      }
    }
  }

  float& at(int64_t r, int64_t c) {
    return storage_[kBorder + r * stride_ + c];
  }
  float at(int64_t r, int64_t c) const {
    return storage_[kBorder + r * stride_ + c];
  }
  float* row(int64_t r) { return &storage_[kBorder + r * stride_]; }
  const float* row(int64_t r) const { return &storage_[kBorder + r * stride_]; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t stride() const { return stride_; }

  // [rows, columns].
  TensorView view() {
    TensorView v(row(0), {rows_, columns_});
    v.stride[0] = stride_;
    return v;
  }
  // [columns] of the only row, or [rows] of the only column.
  TensorView vector() { return view().Reshaped({rows_ * columns_}); }

  std::vector<double> Row(int64_t r) const {
    return std::vector<double>(row(r), row(r) + columns_);
  }
  bool PaddingIntact() const {
    for (int64_t i = 0; i < static_cast<int64_t>(storage_.size()); ++i) {
      const int64_t at = i - kBorder;
      const bool inside =
          at >= 0 && at < rows_ * stride_ && at % stride_ < columns_;
      if (!inside && storage_[i] != kCanary) return false;
    }
    return true;
  }
  // Bit for bit, NaN included.
  bool SameBits(const TestMatrix& other) const {
    return storage_.size() == other.storage_.size() &&
           std::memcmp(storage_.data(), other.storage_.data(),
                       storage_.size() * sizeof(float)) == 0;
  }

 private:
  static constexpr int64_t kBorder = 17;
  static constexpr float kCanary = 98765.0f;

  int64_t rows_, columns_, stride_;
  std::vector<float> storage_;
};

}  // namespace caracal::testing

#endif  // CARACAL_KERNELS_COMMON_KERNEL_TESTING_H_
