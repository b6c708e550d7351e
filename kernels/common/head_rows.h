// [rows, heads, D] operands of attention kernels as plain pointers, for code
// that is compiled once per instruction set, and how they come from views.
#ifndef CARACAL_KERNELS_COMMON_HEAD_ROWS_H_
#define CARACAL_KERNELS_COMMON_HEAD_ROWS_H_

#include <cstdint>

#include "kernels/common/tensor_view.h"

// For functions outside the namespace of an instruction set that its code
// calls: they must never be emitted there, because the linker would be free to
// keep the AVX-512 copy for everybody.
#define CARACAL_ALWAYS_INLINE [[gnu::always_inline]] inline

namespace caracal::kernels {

// Unit stride in D; strides in elements. Null data: absent.
template <typename T>
struct HeadRows {
  T* data = nullptr;
  int64_t row = 0, head = 0;

  CARACAL_ALWAYS_INLINE T* at(int64_t r, int64_t h) const {
    return data + r * row + h * head;
  }
};

// The rows of a view of exactly this shape, or absent ones if it is undefined.
template <typename T, typename View>
HeadRows<T> BindHeadRows(View view, int64_t rows, int64_t heads, int64_t D) {
  if (!view.defined()) return {};
  CARACAL_CHECK_EQ(view.rank, 3);
  CARACAL_CHECK_EQ(view.shape[0], rows);
  CARACAL_CHECK_EQ(view.shape[1], heads);
  CARACAL_CHECK_EQ(view.shape[2], D);
  CARACAL_CHECK(D == 1 || view.stride[2] == 1) << view.stride[2];
  return {view.f32(), view.stride[0], view.stride[1]};
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_HEAD_ROWS_H_
