// Small host tables to device memory through kernel parameters: asynchronous
// even from pageable memory, and recorded by value in a CUDA graph.
#ifndef CARACAL_KERNELS_COMMON_CUDA_UPLOAD_H_
#define CARACAL_KERNELS_COMMON_CUDA_UPLOAD_H_

#include <cuda_runtime_api.h>

#include <cstddef>

namespace caracal::kernels {

// Copies `bytes` to `device` (16-byte aligned) in the order of the stream;
// `host` may change once this returns. Meant for up to some 100 KiB. A kernel
// that is launched early (cuda_early_launch.h) right behind it may begin before
// the bytes are there.
void CudaUpload(const void* host, size_t bytes, void* device,
                cudaStream_t stream);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_CUDA_UPLOAD_H_
