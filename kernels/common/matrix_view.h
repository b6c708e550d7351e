// Rank-2 views as a typed pointer and a row stride, for kernel dispatchers.
#ifndef CARACAL_KERNELS_COMMON_MATRIX_VIEW_H_
#define CARACAL_KERNELS_COMMON_MATRIX_VIEW_H_

#include <cstdint>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// Row-major: rows may be apart, columns are adjacent.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;  // elements between rows

  T* row(int64_t r) const { return data + r * stride; }
};

// Aborts unless `view` is a defined fp32 matrix with adjacent columns whose
// rows do not overlap.
template <typename Void>
auto MatrixOf(const BasicTensorView<Void>& view) {
  using T = std::conditional_t<std::is_const_v<Void>, const float, float>;
  CARACAL_CHECK(view.rank == 2) << "rank " << view.rank << ", wanted 2";
  CARACAL_CHECK(view.shape[1] == 1 || view.stride[1] == 1)
      << "column stride " << view.stride[1] << ", wanted 1";
  const int64_t stride = view.shape[0] == 1 ? view.shape[1] : view.stride[0];
  CARACAL_CHECK(stride >= view.shape[1])
      << "row stride " << stride << " below " << view.shape[1] << " columns";
  return MatrixView<T>{view.f32(), view.shape[0], view.shape[1], stride};
}

// As above; also of this shape.
template <typename Void>
auto MatrixOf(const BasicTensorView<Void>& view, int64_t rows,
              int64_t columns) {
  auto matrix = MatrixOf(view);
  CARACAL_CHECK(matrix.rows == rows && matrix.columns == columns)
      << "shape [" << matrix.rows << ", " << matrix.columns << "], wanted ["
      << rows << ", " << columns << "]";
  return matrix;
}

// The elements of a contiguous vector of n elements of type T.
template <typename T, typename Void>
auto* VectorOf(const BasicTensorView<Void>& view, int64_t n) {
  CARACAL_CHECK(view.rank == 1 && view.shape[0] == n && view.contiguous())
      << "rank " << view.rank << ", size " << view.size()
      << ", wanted a contiguous vector of " << n;
  return view.template As<T>();
}

// As above, or null for an undefined view.
template <typename T, typename Void>
auto* OptionalVectorOf(const BasicTensorView<Void>& view, int64_t n) {
  return view.defined() ? VectorOf<T>(view, n) : nullptr;
}

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_MATRIX_VIEW_H_
