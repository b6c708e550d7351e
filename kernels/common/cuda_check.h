// CUDA return codes as checks: a failed call is a bug (a bad launch, a bad
// argument), and the process ends, as with CARACAL_CHECK. In a kernel's
// launcher a device that is lost passes: whoever waits for it is told
// (Device::Wait in core/device/device.h), and what is launched until then does
// nothing.
#ifndef CARACAL_KERNELS_COMMON_CUDA_CHECK_H_
#define CARACAL_KERNELS_COMMON_CUDA_CHECK_H_

#include <cuda_runtime_api.h>

#include "kernels/common/check.h"

// What both have in common; `passes` looks at caracal_cuda_status.
#define CARACAL_CUDA_CHECK_(call, words, passes)                          \
  if (const cudaError_t caracal_cuda_status = (call); passes) {           \
  } else                                                                  \
    ::caracal::internal::CheckFailure(__FILE__, __LINE__, words).stream() \
        << cudaGetErrorName(caracal_cuda_status) << ": "                  \
        << cudaGetErrorString(caracal_cuda_status) << " "

// CARACAL_CUDA_CHECK(cudaMemsetAsync(...)) << "more";
#define CARACAL_CUDA_CHECK(call) \
  CARACAL_CUDA_CHECK_(call, #call, caracal_cuda_status == cudaSuccess)

// Inside a launcher.
#define CARACAL_LAUNCHER_CHECK(call)        \
  CARACAL_CUDA_CHECK_(                      \
      call, #call,                          \
      caracal_cuda_status == cudaSuccess || \
          ::caracal::kernels::cuda::IsLost(caracal_cuda_status))

// After each launch, inside the launcher. Does not wait for the kernel.
#define CARACAL_CUDA_CHECK_LAUNCH() CARACAL_LAUNCHER_CHECK(cudaGetLastError())

namespace caracal::kernels::cuda {

// Whether the error is one that every later call of the process on this device
// returns again: the hardware, or a kernel that died.
inline bool IsLost(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorExternalDevice:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure:
    case cudaErrorMpsClientTerminated:
    case cudaErrorUnknown:
      return true;
    default:
      return false;
  }
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_CHECK_H_
