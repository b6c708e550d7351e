// cuBLASLt's return codes as checks, as cuda_check.h does for CUDA's.
#ifndef CARACAL_KERNELS_COMMON_CUBLAS_CHECK_H_
#define CARACAL_KERNELS_COMMON_CUBLAS_CHECK_H_

#include <cublasLt.h>

#include "kernels/common/check.h"
#include "kernels/common/cuda_check.h"

// CARACAL_CUBLAS_CHECK(cublasLtMatmul(...)) << "more"; in launchers: a lost
// device passes.
#define CARACAL_CUBLAS_CHECK(call)                                        \
  if (const cublasStatus_t caracal_cublas_status = (call);                \
      caracal_cublas_status == CUBLAS_STATUS_SUCCESS ||                   \
      ::caracal::kernels::cuda::IsLost(cudaStreamQuery(nullptr))) {       \
  } else                                                                  \
    ::caracal::internal::CheckFailure(__FILE__, __LINE__, #call).stream() \
        << cublasLtGetStatusName(caracal_cublas_status) << ": "           \
        << cublasLtGetStatusString(caracal_cublas_status) << " "

#endif  // CARACAL_KERNELS_COMMON_CUBLAS_CHECK_H_
