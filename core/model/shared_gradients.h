// Gradients of tensors that several ranks of a tensor-parallel group hold.
#ifndef CARACAL_CORE_MODEL_SHARED_GRADIENTS_H_
#define CARACAL_CORE_MODEL_SHARED_GRADIENTS_H_

#include <vector>

#include "absl/status/status.h"
#include "core/collective/collective.h"
#include "core/model/parameters.h"
#include "core/tensor/tensor.h"

namespace caracal {

// Adds up, over the group, the gradients of the `shared` ones of some trained
// parameters (LoRA's factors at the residual stream, key/value heads that are
// on several ranks, one feature map of all heads). One reduction for all of
// them: they are laid out as in the whole model, zero where a rank holds
// nothing, so that it does not matter who shares what with whom.
class SharedGradients {
 public:
  // The same parameters in the same order on all ranks. Borrows them, and the
  // device that their twins are on; null: the host.
  explicit SharedGradients(std::vector<const Parameter*> parameters,
                           Device* device = nullptr);

  // On a device: on that stream of it, which is the group's.
  absl::Status Sum(Collective& group, void* stream = nullptr);

  int64_t elements() const { return buffer_.defined() ? buffer_.size() : 0; }

 private:
  void SetZero(void* stream);
  void Copy(const TensorView& from, float* to, void* stream);

  std::vector<const Parameter*> shared_;
  Device* device_;
  absl::Status status_;  // of the buffer: kResourceExhausted
  Tensor buffer_;        // flat
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_SHARED_GRADIENTS_H_
