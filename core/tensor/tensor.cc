#include "core/tensor/tensor.h"

#include <cstring>

#include "core/tensor/storage.h"

namespace caracal {

Tensor Tensor::Empty(DType dtype, std::initializer_list<int64_t> shape) {
  Tensor out;
  out.view_ = TensorView(nullptr, dtype, shape);
  const size_t bytes = out.view_.size() * SizeOf(dtype);
  out.storage_ = std::shared_ptr<void>(AllocateHostMemory(bytes),
                                       [](void* p) { FreeHostMemory(p); });
  out.view_.data = out.storage_.get();
  return out;
}

Tensor Tensor::Zeros(DType dtype, std::initializer_list<int64_t> shape) {
  Tensor out = Empty(dtype, shape);
  std::memset(out.view_.data, 0, out.bytes());
  return out;
}

}  // namespace caracal
