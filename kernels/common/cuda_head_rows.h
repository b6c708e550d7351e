// [rows, heads, D] bf16 operands of CUDA attention kernels.
#ifndef CARACAL_KERNELS_COMMON_CUDA_HEAD_ROWS_H_
#define CARACAL_KERNELS_COMMON_CUDA_HEAD_ROWS_H_

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/common/head_rows.h"

namespace caracal::kernels::cuda {

using bf16 = __nv_bfloat16;

// The rows of a bf16 view of exactly this shape, aligned for 16-byte accesses,
// or absent ones if it is undefined.
template <typename T, typename View>
HeadRows<T> BindBf16(View view, int64_t rows, int64_t heads, int64_t D) {
  if (!view.defined()) return {};
  CARACAL_CHECK(view.dtype == DType::kBF16) << NameOf(view.dtype);
  CARACAL_CHECK_EQ(view.rank, 3);
  CARACAL_CHECK_EQ(view.shape[0], rows);
  CARACAL_CHECK_EQ(view.shape[1], heads);
  CARACAL_CHECK_EQ(view.shape[2], D);
  CARACAL_CHECK_EQ(view.stride[2], 1);
  CARACAL_CHECK(view.stride[0] % 8 == 0 && view.stride[1] % 8 == 0)
      << view.stride[0] << ", " << view.stride[1];
  CARACAL_CHECK(reinterpret_cast<uintptr_t>(view.data) % 16 == 0);
  return {static_cast<T*>(view.data), view.stride[0], view.stride[1]};
}

#ifdef __CUDACC__

template <typename T>
__device__ __forceinline__ T* At(const HeadRows<T>& x, int64_t row,
                                 int64_t head) {
  return x.data + row * x.row + head * x.head;
}

#endif  // __CUDACC__

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_HEAD_ROWS_H_
