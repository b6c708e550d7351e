// Device memory for tests and benchmarks of CUDA kernels.
#ifndef CARACAL_KERNELS_COMMON_CUDA_TESTING_H_
#define CARACAL_KERNELS_COMMON_CUDA_TESTING_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/dtype.h"

namespace caracal::testing {

// Half an ulp of 1 in bf16.
inline constexpr double kBf16Roundoff = 0x1p-9;

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

}  // namespace caracal::testing

#endif  // CARACAL_KERNELS_COMMON_CUDA_TESTING_H_
