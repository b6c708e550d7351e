// What benchmarks of CUDA kernels share: random operands in device memory,
// times by events, and the bandwidth of a copy to compare with.
#ifndef CARACAL_KERNELS_COMMON_CUDA_BENCH_H_
#define CARACAL_KERNELS_COMMON_CUDA_BENCH_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_testing.h"
#include "kernels/common/kernel_testing.h"

namespace caracal::bench {

// Uniform numbers in [-size, size); Element is uint16_t (bf16) or float. They
// repeat after some millions: numbers are slow to make.
template <typename Element>
testing::DeviceArray<Element> RandomOnDevice(int64_t count, double size,
                                             uint64_t seed) {
  testing::Uniform random(seed, -size, size);
  const int64_t period = std::min<int64_t>(count, (1 << 20) + 7919);
  std::vector<Element> values(period);
  for (Element& v : values) {
    if constexpr (sizeof(Element) == 2) {
      v = Bf16FromFloat(static_cast<float>(random()));
    } else {
      v = static_cast<Element>(random());
    }
  }
  testing::DeviceArray<Element> array(count);
  for (int64_t at = 0; at < count; at += period) {
    CARACAL_CUDA_CHECK(cudaMemcpy(
        array.data() + at, values.data(),
        std::min(period, count - at) * sizeof(Element), cudaMemcpyDefault));
  }
  return array;
}

struct Times {
  double low, median, high;  // ms; 10%, 50%, 90%
};

// run(i) enqueues the work on the default stream, on set i % 2 of operands.
inline Times Measure(const std::function<void(int)>& run) {
  constexpr int kWarmUp = 3, kRepeats = 21;
  cudaEvent_t events[kRepeats + 1];
  for (cudaEvent_t& e : events) CARACAL_CUDA_CHECK(cudaEventCreate(&e));
  for (int i = 0; i < kWarmUp; ++i) run(i % 2);
  for (int i = 0; i < kRepeats; ++i) {
    CARACAL_CUDA_CHECK(cudaEventRecord(events[i]));
    run(i % 2);
  }
  CARACAL_CUDA_CHECK(cudaEventRecord(events[kRepeats]));
  CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
  std::vector<float> times(kRepeats);
  for (int i = 0; i < kRepeats; ++i) {
    CARACAL_CUDA_CHECK(
        cudaEventElapsedTime(&times[i], events[i], events[i + 1]));
  }
  std::sort(times.begin(), times.end());
  for (cudaEvent_t& e : events) cudaEventDestroy(e);
  return {times[kRepeats / 10], times[kRepeats / 2],
          times[kRepeats - 1 - kRepeats / 10]};
}

// Bytes are those of every tensor read or written once.
inline void PrintBytes(const char* name, const Times& t, double bytes) {
  std::printf("  %-40s %7.3f ms (%.3f - %.3f)  %5.2f TB/s\n", name, t.median,
              t.low, t.high, bytes / t.median * 1e-9);
}

inline void PrintFlop(const char* name, const Times& t, double flop) {
  std::printf("  %-40s %7.3f ms (%.3f - %.3f)  %6.1f TFLOP/s\n", name, t.median,
              t.low, t.high, flop / t.median * 1e-9);
}

// Prints the device and the bandwidth of a copy, which counts bytes read and
// bytes written.
inline void PrintDevice() {
  cudaDeviceProp device;
  CARACAL_CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
  std::printf("%s, %d multiprocessors\n", device.name,
              device.multiProcessorCount);
  const int64_t size = 1 << 28;
  const auto from = RandomOnDevice<float>(size, 1, 1);
  testing::DeviceArray<float> to(size);
  PrintBytes("copy of 1 GiB", Measure([&](int) {
               CARACAL_CUDA_CHECK(cudaMemcpyAsync(to.data(), from.data(),
                                                  size * sizeof(float),
                                                  cudaMemcpyDeviceToDevice));
             }),
             2.0 * size * sizeof(float));
}

}  // namespace caracal::bench

#endif  // CARACAL_KERNELS_COMMON_CUDA_BENCH_H_
