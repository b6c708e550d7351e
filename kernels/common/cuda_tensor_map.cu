#include "kernels/common/check.h"
#include "kernels/common/cuda_driver.h"
#include "kernels/common/cuda_tensor_map.h"

namespace caracal::kernels {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

Encode FindEncode() {
  const auto encode = FindDriverFunction<Encode>("cuTensorMapEncodeTiled");
  CARACAL_CHECK(encode != nullptr)
      << "the driver has no cuTensorMapEncodeTiled";
  return encode;
}

}  // namespace

CUtensorMap CudaRowsMap(const void* data, int64_t rows, int64_t row_stride,
                        int64_t heads, int64_t head_stride, int64_t D) {
  static const Encode encode = FindEncode();
  if (heads == 1) head_stride = row_stride;  // never used
  if (rows == 1) row_stride = head_stride * heads;
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(D),
                              static_cast<cuuint64_t>(heads),
                              static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(head_stride * 2),
                                static_cast<cuuint64_t>(row_stride * 2)};
  const cuuint32_t box[] = {64, 1, 64}, steps[] = {1, 1, 1};
  CUtensorMap map;
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, const_cast<void*>(data),
             sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CARACAL_CHECK(result == CUDA_SUCCESS)
      << "cuTensorMapEncodeTiled: " << static_cast<int>(result) << " for ["
      << rows << ", " << heads << ", " << D << "], strides " << row_stride
      << ", " << head_stride;
  return map;
}

}  // namespace caracal::kernels
