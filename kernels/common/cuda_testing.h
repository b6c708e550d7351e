// Device memory for tests and benchmarks of CUDA kernels.
#ifndef CARACAL_KERNELS_COMMON_CUDA_TESTING_H_
#define CARACAL_KERNELS_COMMON_CUDA_TESTING_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/dtype.h"
#include "kernels/common/kernel_testing.h"
#include "kernels/common/tensor_view.h"

namespace caracal::testing {

// Half an ulp of 1 in bf16.
inline constexpr double kBf16Roundoff = 0x1p-9;

// Relative error of a rounding to bf16, at most.
inline constexpr double kBf16Rounding = 0x1p-8;

inline float RoundToBf16(float value) {
  return FloatFromBf16(Bf16FromFloat(value));
}

// Owns device memory, filled with NaN (all bits set) to begin with.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(size_t size) : size_(size) {
    void* memory = nullptr;
    CARACAL_CUDA_CHECK(
        cudaMalloc(&memory, std::max<size_t>(size, 1) * sizeof(T)));
    data_ = static_cast<T*>(memory);
    Poison();
  }
  explicit DeviceArray(const std::vector<T>& values)
      : DeviceArray(values.size()) {
    CARACAL_CUDA_CHECK(cudaMemcpy(data_, values.data(), size_ * sizeof(T),
                                  cudaMemcpyHostToDevice));
  }
  DeviceArray(DeviceArray&& other) noexcept { *this = std::move(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray() { cudaFree(data_); }

  void Poison() {
    CARACAL_CUDA_CHECK(cudaMemset(data_, 0xff, size_ * sizeof(T)));
  }
  std::vector<T> Host() const {
    std::vector<T> values(size_);
    CARACAL_CUDA_CHECK(cudaMemcpy(values.data(), data_, size_ * sizeof(T),
                                  cudaMemcpyDeviceToHost));
    return values;
  }
  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

// Element is uint16_t (the bits of a bf16 number) or float.
template <typename Element>
double ElementToDouble(Element x) {
  if constexpr (sizeof(Element) == 2) {
    return FloatFromBf16(x);
  } else {
    return x;
  }
}

// Relative error of a rounding to Element's type, at most.
template <typename Element>
inline constexpr double kRoundingOf = sizeof(Element) == 2 ? kBf16Rounding
                                                           : kUnitRoundoff;

// A bf16 or fp32 matrix in device memory, NaN to begin with or filled; its
// rows lie some elements apart, and GapsIntact() finds writes between them.
template <typename Element>
class DeviceMatrix {
 public:
  DeviceMatrix(int64_t rows, int64_t columns)
      : rows_(rows), columns_(columns), memory_(rows * Stride()) {}
  DeviceMatrix(int64_t rows, int64_t columns, Uniform fill)
      : DeviceMatrix(rows, columns) {
    std::vector<double> values(rows * columns);
    for (double& v : values) v = fill();
    Set(values);
  }
  // [rows, columns] dense, rounded.
  void Set(const std::vector<double>& values) {
    std::vector<Element> all = memory_.Host();
    for (int64_t i = 0; i < rows_ * columns_; ++i) {
      Element& to = all[i / columns_ * Stride() + i % columns_];
      if constexpr (sizeof(Element) == 2) {
        to = Bf16FromFloat(static_cast<float>(values[i]));
      } else {
        to = static_cast<Element>(values[i]);
      }
    }
    memory_ = DeviceArray<Element>(all);
  }
  TensorView View() const {
    TensorView view(memory_.data(),
                    sizeof(Element) == 2 ? DType::kBF16 : DType::kF32,
                    {rows_, columns_});
    view.stride[0] = Stride();
    return view;
  }
  // [rows, columns], dense.
  std::vector<double> Host() const {
    const std::vector<Element> all = memory_.Host();
    std::vector<double> values(rows_ * columns_);
    for (int64_t i = 0; i < rows_ * columns_; ++i) {
      values[i] = ElementToDouble(all[i / columns_ * Stride() + i % columns_]);
    }
    return values;
  }
  std::vector<Element> Bits() const { return memory_.Host(); }
  bool GapsIntact() const {
    const std::vector<Element> all = memory_.Host();
    const std::vector<Element> poison = DeviceArray<Element>(1).Host();
    for (int64_t i = 0; i < rows_ * Stride(); ++i) {
      if (i % Stride() >= columns_ &&
          std::memcmp(&all[i], &poison[0], sizeof(Element)) != 0) {
        return false;
      }
    }
    return true;
  }

 private:
  // A multiple of 16 bytes.
  int64_t Stride() const { return (columns_ + 7) / 8 * 8 + 8; }
  int64_t rows_, columns_;
  DeviceArray<Element> memory_;
};

// An fp32 or integer vector in device memory.
template <typename T>
TensorView VectorView(const DeviceArray<T>& array) {
  return TensorView(array.data(), {static_cast<int64_t>(array.size())});
}

inline std::vector<float> RandomVector(int64_t size, Uniform fill) {
  std::vector<float> values(size);
  for (float& v : values) v = static_cast<float>(fill());
  return values;
}

}  // namespace caracal::testing

#endif  // CARACAL_KERNELS_COMMON_CUDA_TESTING_H_
