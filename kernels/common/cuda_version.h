// Which version of a CUDA kernel runs, where there are several.
#ifndef CARACAL_KERNELS_COMMON_CUDA_VERSION_H_
#define CARACAL_KERNELS_COMMON_CUDA_VERSION_H_

#include <cstdint>

namespace caracal::kernels {

enum class CudaVersion : uint8_t {
  kBest,   // by shape and device
  kPlain,  // any shape, any chip
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_CUDA_VERSION_H_
