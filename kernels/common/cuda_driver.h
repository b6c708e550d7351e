// Functions of the CUDA driver, found through the runtime: nothing links
// against the driver's library, which a machine without a GPU has not.
#ifndef CARACAL_KERNELS_COMMON_CUDA_DRIVER_H_
#define CARACAL_KERNELS_COMMON_CUDA_DRIVER_H_

#include <cuda.h>
#include <cuda_runtime_api.h>

namespace caracal::kernels {

// The function of that name as CUDA 12.0 has it, null where the driver has
// none: FindDriverFunction<decltype(&cuMemMap)>("cuMemMap").
template <typename Function>
Function FindDriverFunction(const char* name) {
  constexpr unsigned int kVersion = 12000;
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result;
  if (cudaGetDriverEntryPointByVersion(
          name, &found, kVersion, cudaEnableDefault, &result) != cudaSuccess ||
      result != cudaDriverEntryPointSuccess) {
    return nullptr;
  }
  return reinterpret_cast<Function>(found);
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_CUDA_DRIVER_H_
