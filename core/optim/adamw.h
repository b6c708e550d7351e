// AdamW over the trained parameters of a store.
#ifndef CARACAL_CORE_OPTIM_ADAMW_H_
#define CARACAL_CORE_OPTIM_ADAMW_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/model/parameters.h"
#include "core/tensor/tensor.h"
#include "kernels/common/context.h"

namespace caracal {

struct AdamWSettings {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  // Decoupled, of each ParameterGroup's tensors.
  std::array<float, kParameterGroups> weight_decay = {};
  float grad_clip = 1.0f;  // global norm; 0: never
};

// Holds first and second moments for the parameters trained when it was made;
// make a new one when the trained set changes. Not thread-safe.
class AdamW {
 public:
  AdamW(ParameterStore* store, const AdamWSettings& settings);

  // Clips the gradients to the global norm and updates the parameters.
  // Returns the norm before clipping (not finite when a gradient is not: then
  // nothing was updated).
  double Step(const Context& ctx, float learning_rate);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  // Moments of one trained parameter, in its shape.
  struct Moments {
    const Parameter* parameter;
    TensorView first, second;
  };
  const std::vector<Moments>& moments() const { return moments_; }

 private:
  ParameterStore* store_;
  AdamWSettings settings_;
  Tensor first_, second_;  // flat, as the store's gradients
  std::vector<Moments> moments_;
  int64_t steps_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_OPTIM_ADAMW_H_
