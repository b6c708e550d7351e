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

// bf16, swizzled; the innermost dimension first, whose elements are adjacent.
template <int kRank>
CUtensorMap MapOf(const void* data, const cuuint64_t (&sizes)[kRank],
                  const cuuint64_t (&strides)[kRank - 1],
                  const cuuint32_t (&box)[kRank]) {
  static const Encode encode = FindEncode();
  cuuint32_t steps[kRank];
  for (cuuint32_t& step : steps) step = 1;
  CUtensorMap map;
  const CUresult result = encode(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, kRank, const_cast<void*>(data),
      sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  CARACAL_CHECK(result == CUDA_SUCCESS)
      << "cuTensorMapEncodeTiled: " << static_cast<int>(result) << " for rank "
      << kRank << ", " << sizes[kRank - 1] << " rows " << strides[kRank - 2]
      << " bytes apart";
  return map;
}

}  // namespace

CUtensorMap CudaRowsMap(const void* data, int64_t rows, int64_t row_stride,
                        int64_t heads, int64_t head_stride, int64_t D) {
  if (heads == 1) head_stride = row_stride;  // never used
  if (rows == 1) row_stride = head_stride * heads;
  return MapOf<3>(data,
                  {static_cast<cuuint64_t>(D), static_cast<cuuint64_t>(heads),
                   static_cast<cuuint64_t>(rows)},
                  {static_cast<cuuint64_t>(head_stride * 2),
                   static_cast<cuuint64_t>(row_stride * 2)},
                  {64, 1, 64});
}

CUtensorMap CudaMatrixMap(const void* data, int64_t rows, int64_t columns,
                          int64_t stride, int box_rows) {
  return MapOf<2>(
      data, {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)},
      {static_cast<cuuint64_t>(stride * 2)},
      {64, static_cast<cuuint32_t>(box_rows)});
}

}  // namespace caracal::kernels
