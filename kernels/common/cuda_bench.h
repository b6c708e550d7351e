// What benchmarks of CUDA kernels share: random operands in device memory,
// times by events, and the bandwidth of a copy to compare with.
#ifndef CARACAL_KERNELS_COMMON_CUDA_BENCH_H_
#define CARACAL_KERNELS_COMMON_CUDA_BENCH_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_power.h"
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

// What work costs when it goes on and on, as in a training step: short bursts
// run at clocks that the chip cannot keep up.
struct Sustained {
  double ms = 0, watts = 0, megahertz = 0;  // means; 0: unknown
  void Add(const Sustained& other) {
    ms += other.ms, watts += other.watts, megahertz += other.megahertz;
  }
  Sustained Over(int count) const {
    return {ms / count, watts / count, megahertz / count};
  }
};

// As Measure(), over about so many seconds, after a sixth of that unmeasured.
inline Sustained MeasureSustained(double seconds,
                                  const std::function<void(int)>& run) {
  static const PowerMeter meter;
  constexpr double kPieceMs = 10;  // what is enqueued at a time
  cudaEvent_t events[2];
  for (cudaEvent_t& e : events) CARACAL_CUDA_CHECK(cudaEventCreate(&e));
  const auto piece = [&](int number, int repeats) {
    for (int i = 0; i < repeats; ++i) run(i % 2);
    CARACAL_CUDA_CHECK(cudaEventRecord(events[number % 2]));
  };
  piece(0, 1);  // plans, modules
  piece(0, 1);
  piece(1, 4);
  CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
  float ms = 0;
  CARACAL_CUDA_CHECK(cudaEventElapsedTime(&ms, events[0], events[1]));
  const int repeats = std::max(1, static_cast<int>(kPieceMs / (ms / 4)));
  // Two pieces are under way at any time.
  const auto go_on = [&](double during) {
    const auto begin = std::chrono::steady_clock::now();
    const double joules = meter.Joules();
    double took = 0, clocks = 0;
    int count = 0;
    piece(0, repeats);
    for (; took < during; ++count) {
      piece(count + 1, repeats);
      CARACAL_CUDA_CHECK(cudaEventSynchronize(events[count % 2]));
      clocks += meter.Clock();
      took = std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                           begin)
                 .count();
    }
    const double drawn = meter.Joules() - joules;
    CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
    return Sustained{took / count / repeats * 1e3, drawn / took,
                     clocks / count};
  };
  go_on(seconds / 6);
  const Sustained mean = go_on(seconds);
  for (cudaEvent_t& e : events) cudaEventDestroy(e);
  return mean;
}

inline void PrintSustained(const char* name, const Sustained& s, double flop) {
  std::printf("  %-40s %7.3f ms  %6.1f TFLOP/s  %5.0f W  %5.0f MHz  %6.3f J\n",
              name, s.ms, flop / s.ms * 1e-9, s.watts, s.megahertz,
              s.watts * s.ms * 1e-3);
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
