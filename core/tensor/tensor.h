// Tensor: a view with a share in the memory behind it.
#ifndef CARACAL_CORE_TENSOR_TENSOR_H_
#define CARACAL_CORE_TENSOR_TENSOR_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>

#include "kernels/common/tensor_view.h"

namespace caracal {

// Copies share the memory (reference counted). A default Tensor is undefined.
// For what lives longer than a step: weights, parameters, caches. Activations
// are bare views into an Arena. As thread-safe as a plain array.
class Tensor {
 public:
  Tensor() = default;

  // Contiguous host memory, not cleared / cleared.
  static Tensor Empty(DType dtype, std::initializer_list<int64_t> shape);
  static Tensor Zeros(DType dtype, std::initializer_list<int64_t> shape);

  // Memory that `storage` keeps.
  static Tensor Of(TensorView view, std::shared_ptr<void> storage) {
    Tensor out;
    out.view_ = view;
    out.storage_ = std::move(storage);
    return out;
  }

  // A part of this memory, kept alive by the result.
  Tensor Alias(TensorView view) const {
    Tensor out;
    out.view_ = view;
    out.storage_ = storage_;
    return out;
  }

  bool defined() const { return view_.defined(); }
  const TensorView& view() const { return view_; }
  operator TensorView() const { return view_; }       // NOLINT: implicit
  operator ConstTensorView() const { return view_; }  // NOLINT: implicit
  float* f32() const { return view_.f32(); }
  int64_t size() const { return view_.size(); }
  int64_t dim(int i) const { return view_.shape[i]; }
  size_t bytes() const { return size() * SizeOf(view_.dtype); }

 private:
  TensorView view_;
  std::shared_ptr<void> storage_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_TENSOR_TENSOR_H_
