// What the current device draws and how fast it is clocked, through NVIDIA's
// management library where the driver brings it: a benchmark of a chip whose
// power is the limit says little without.
#ifndef CARACAL_KERNELS_COMMON_CUDA_POWER_H_
#define CARACAL_KERNELS_COMMON_CUDA_POWER_H_

#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <type_traits>

#include "kernels/common/cuda_check.h"

namespace caracal::bench {

class PowerMeter {
 public:
  PowerMeter() {
    void* const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    const auto find = [&](const char* name, auto* function) {
      *function = reinterpret_cast<std::decay_t<decltype(*function)>>(
          dlsym(library, name));
      return *function != nullptr;
    };
    int (*init)() = nullptr;
    int (*by_bus)(const char*, void**) = nullptr;
    int device = 0;
    char bus[32];
    CARACAL_CUDA_CHECK(cudaGetDevice(&device));
    CARACAL_CUDA_CHECK(cudaDeviceGetPCIBusId(bus, sizeof(bus), device));
    there_ = find("nvmlInit_v2", &init) &&
             find("nvmlDeviceGetHandleByPciBusId_v2", &by_bus) &&
             find("nvmlDeviceGetTotalEnergyConsumption", &energy_) &&
             find("nvmlDeviceGetClockInfo", &clock_) && init() == 0 &&
             by_bus(bus, &device_) == 0;
  }

  // Since the driver was loaded, in joules; 0 where unknown. The device counts
  // every 20 to 100 ms.
  double Joules() const {
    unsigned long long millijoules = 0;
    if (!there_ || energy_(device_, &millijoules) != 0) return 0;
    return millijoules * 1e-3;
  }

  // Of the multiprocessors, now, in MHz; 0 where unknown.
  double Clock() const {
    constexpr int kMultiprocessors = 1;  // NVML_CLOCK_SM
    unsigned megahertz = 0;
    if (!there_ || clock_(device_, kMultiprocessors, &megahertz) != 0) return 0;
    return megahertz;
  }

 private:
  bool there_ = false;
  void* device_ = nullptr;
  int (*energy_)(void*, unsigned long long*) = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
};

}  // namespace caracal::bench

#endif  // CARACAL_KERNELS_COMMON_CUDA_POWER_H_
