// Raw views: what a kernel sees of a tensor. No ownership, no allocation.
#ifndef CARACAL_KERNELS_COMMON_TENSOR_VIEW_H_
#define CARACAL_KERNELS_COMMON_TENSOR_VIEW_H_

#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "kernels/common/check.h"
#include "kernels/common/dtype.h"

namespace caracal {

inline constexpr int kMaxRank = 5;

// A pointer with dtype, shape and strides (in elements). A default view is
// undefined: kernels take it for "this optional operand is absent". Void is
// `void` or `const void`; copies are cheap and share the memory.
template <typename Void>
struct BasicTensorView {
  Void* data = nullptr;
  DType dtype = DType::kF32;
  int rank = 0;
  int64_t shape[kMaxRank] = {};
  int64_t stride[kMaxRank] = {};

  BasicTensorView() = default;

  // Row-major contiguous view.
  BasicTensorView(Void* data, DType dtype, std::initializer_list<int64_t> dims)
      : data(data), dtype(dtype) {
    CARACAL_CHECK(dims.size() <= kMaxRank) << "rank " << dims.size();
    for (int64_t d : dims) shape[rank++] = d;
    MakeContiguous();
  }
  template <typename T>
  requires(!std::is_void_v<T>)
      BasicTensorView(T* data, std::initializer_list<int64_t> dims)
      : BasicTensorView(data, DTypeOf<std::remove_const_t<T>>::value, dims) {}

  // TensorView converts to ConstTensorView.
  template <typename Other>
  requires(std::is_const_v<Void> && !std::is_const_v<Other>)
      BasicTensorView(const BasicTensorView<Other>& other)  // NOLINT: implicit
      : data(other.data), dtype(other.dtype), rank(other.rank) {
    for (int i = 0; i < rank; ++i) {
      shape[i] = other.shape[i];
      stride[i] = other.stride[i];
    }
  }

  bool defined() const { return data != nullptr; }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= shape[i];
    return n;
  }
  bool contiguous() const {
    int64_t expected = 1;
    for (int i = rank - 1; i >= 0; --i) {
      if (shape[i] != 1 && stride[i] != expected) return false;
      expected *= shape[i];
    }
    return true;
  }

  // Typed pointer; the dtype must match.
  template <typename T>
  auto* As() const {
    CARACAL_CHECK(dtype == DTypeOf<T>::value)
        << "view is " << NameOf(dtype) << ", wanted "
        << NameOf(DTypeOf<T>::value);
    using Pointee = std::conditional_t<std::is_const_v<Void>, const T, T>;
    return static_cast<Pointee*>(data);
  }
  auto* f32() const { return As<float>(); }

  // The same memory as another contiguous shape of equal size.
  BasicTensorView Reshaped(std::initializer_list<int64_t> dims) const {
    CARACAL_CHECK(contiguous()) << "reshape of a strided view";
    BasicTensorView out(data, dtype, dims);
    CARACAL_CHECK_EQ(out.size(), size());
    return out;
  }

 private:
  void MakeContiguous() {
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; --i) {
      stride[i] = step;
      step *= shape[i];
    }
  }
};

using TensorView = BasicTensorView<void>;
using ConstTensorView = BasicTensorView<const void>;

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_TENSOR_VIEW_H_
