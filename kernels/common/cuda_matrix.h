// Matrices in device memory as kernels take them: typed pointers and row
// strides, checked so that 16-byte accesses are aligned. For launchers.
#ifndef CARACAL_KERNELS_COMMON_CUDA_MATRIX_H_
#define CARACAL_KERNELS_COMMON_CUDA_MATRIX_H_

#include <cuda_bf16.h>

#include <cstdint>
#include <type_traits>

#include "kernels/common/matrix_view.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

template <typename T>
struct CudaDType {
  static constexpr DType value = DTypeOf<T>::value;
};
template <>
struct CudaDType<__nv_bfloat16> {
  static constexpr DType value = DType::kBF16;
};

// Row-major; also in kernels, whose arguments hold it.
template <typename T>
struct CudaMatrix {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // elements between rows

  constexpr T* row(int64_t r) const { return data + r * stride; }
};

// Elements of type T in 16 bytes.
template <typename T>
inline constexpr int64_t kCudaPack = 16 / sizeof(T);

// Aborts unless `view` is a matrix of T (bf16 or fp32) with adjacent columns
// that starts at a multiple of 16 bytes and whose rows lie a multiple of 16
// bytes apart (a single row's stride does not matter).
template <typename T, typename Void>
auto CudaMatrixOf(const BasicTensorView<Void>& view) {
  using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
  CARACAL_CHECK(view.rank == 2) << "rank " << view.rank << ", wanted 2";
  CARACAL_CHECK(view.dtype == CudaDType<T>::value)
      << "view is " << NameOf(view.dtype) << ", wanted "
      << NameOf(CudaDType<T>::value);
  CARACAL_CHECK(view.shape[1] == 1 || view.stride[1] == 1)
      << "column stride " << view.stride[1] << ", wanted 1";
  const bool one = view.shape[0] == 1;
  const int64_t stride = one ? view.shape[1] : view.stride[0];
  CARACAL_CHECK(stride >= view.shape[1])
      << "row stride " << stride << " below " << view.shape[1] << " columns";
  CARACAL_CHECK(one || stride % kCudaPack<T> == 0)
      << "row stride " << stride << ", wanted a multiple of " << kCudaPack<T>;
  CARACAL_CHECK(reinterpret_cast<uintptr_t>(view.data) % 16 == 0)
      << "address " << view.data << ", wanted a multiple of 16";
  return CudaMatrix<Element>{static_cast<Element*>(view.data), view.shape[0],
                             view.shape[1], stride};
}

// As above; also of this shape.
template <typename T, typename Void>
auto CudaMatrixOf(const BasicTensorView<Void>& view, int64_t rows,
                  int64_t columns) {
  auto matrix = CudaMatrixOf<T>(view);
  CARACAL_CHECK(matrix.rows == rows && matrix.columns == columns)
      << "shape [" << matrix.rows << ", " << matrix.columns << "], wanted ["
      << rows << ", " << columns << "]";
  return matrix;
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_CUDA_MATRIX_H_
