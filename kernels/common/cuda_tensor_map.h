// Descriptions of device tensors for Hopper's copy engine (TMA), made on the
// host and passed to kernels by value (__grid_constant__).
#ifndef CARACAL_KERNELS_COMMON_CUDA_TENSOR_MAP_H_
#define CARACAL_KERNELS_COMMON_CUDA_TENSOR_MAP_H_

#include <cuda.h>

#include <cstdint>

namespace caracal::kernels {

// Of a bf16 tensor [rows, heads, D] whose rows and heads lie so many elements
// apart, read in boxes of 64 rows and 64 columns of one head, swizzled as the
// tiles of cuda_wgmma.h. `data` and the strides are multiples of 16 bytes.
CUtensorMap CudaRowsMap(const void* data, int64_t rows, int64_t row_stride,
                        int64_t heads, int64_t head_stride, int64_t D);

// Of a bf16 matrix whose rows lie `stride` elements apart, in boxes of 64
// columns and `box_rows` rows (at most 256), swizzled as those. `data` and the
// stride are multiples of 16 bytes.
CUtensorMap CudaMatrixMap(const void* data, int64_t rows, int64_t columns,
                          int64_t stride, int box_rows);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_CUDA_TENSOR_MAP_H_
