// CUDA return codes as checks. In a kernel's launcher a failed call is a bug
// (a bad launch, a bad argument) or a lost device: the message names both, and
// the process ends, as with CARACAL_CHECK. Code above the kernels that can go
// on without a device tests its codes itself.
#ifndef CARACAL_KERNELS_COMMON_CUDA_CHECK_H_
#define CARACAL_KERNELS_COMMON_CUDA_CHECK_H_

#include <cuda_runtime_api.h>

#include "kernels/common/check.h"

// CARACAL_CUDA_CHECK(cudaMemsetAsync(...)) << "more";
#define CARACAL_CUDA_CHECK(call)                                          \
  if (const cudaError_t caracal_cuda_status = (call);                     \
      caracal_cuda_status == cudaSuccess) {                               \
  } else                                                                  \
    ::caracal::internal::CheckFailure(__FILE__, __LINE__, #call).stream() \
        << cudaGetErrorName(caracal_cuda_status) << ": "                  \
        << cudaGetErrorString(caracal_cuda_status) << " "

// After each launch, inside the launcher. Does not wait for the kernel.
#define CARACAL_CUDA_CHECK_LAUNCH() CARACAL_CUDA_CHECK(cudaGetLastError())

#endif  // CARACAL_KERNELS_COMMON_CUDA_CHECK_H_
