// AdamW over the trained parameters of a store.
#ifndef CARACAL_CORE_OPTIM_ADAMW_H_
#define CARACAL_CORE_OPTIM_ADAMW_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/model/parameters.h"
#include "core/optim/device_adamw.h"
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
// make a new one when the trained set changes. Of data-parallel ranks each has
// the moments of its part of them, and updates that part. Where the store is on
// a device, moments and updates are there too, of everything that is trained.
// Not thread-safe.
class AdamW {
 public:
  // Of everything that is trained.
  AdamW(ParameterStore* store, const AdamWSettings& settings);
  // Of parts of it, which cut no parameter within a row.
  AdamW(ParameterStore* store, const AdamWSettings& settings,
        std::vector<RunRange> parts);

  // kResourceExhausted of a device that has no room for the moments: nothing
  // else may be called then.
  const absl::Status& status() const { return status_; }

  // Before each AddSquares(), once gradients are whole. On a device, enqueues
  // what that adds: the next wait for the device brings it. On the host,
  // nothing.
  void BeginSquares(const Context& ctx);

  // Adds the sum of squares of the parts' gradients, of what this rank answers
  // for (ParameterSlice.owned), by layer from this rank's first: over all ranks
  // and layers, the square of the gradient's norm.
  void AddSquares(const Context& ctx, absl::Span<double> layers);

  // Clips the gradients to the global norm and updates the parts. Must not be
  // called with a norm that is not finite.
  void Update(const Context& ctx, float learning_rate, double norm);

  // Both, for a process that has everything. Returns the norm before clipping
  // (not finite when a gradient is not: then nothing was updated).
  double Step(const Context& ctx, float learning_rate);

  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  // Moments of rows of one trained parameter: [rows, its other dimensions],
  // host memory.
  struct Moments {
    ParameterRows of;
    TensorView first, second;
  };
  // To be read and written until the next update; waits for a device.
  const std::vector<Moments>& moments();

 private:
  void PlaceOnDevice();

  ParameterStore* store_;
  AdamWSettings settings_;
  std::vector<RunRange> parts_;
  Tensor first_, second_;  // flat, part after part
  std::vector<Moments> moments_;
  int64_t steps_ = 0;
  std::unique_ptr<DeviceAdamW> device_;  // null: on the host
  bool on_device_ = false;               // where the moments are
  absl::Status status_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_OPTIM_ADAMW_H_
