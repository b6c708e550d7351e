// What a pass over the model runs with.
#ifndef CARACAL_CORE_TAPE_EXECUTION_H_
#define CARACAL_CORE_TAPE_EXECUTION_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/collective/collective.h"
#include "core/tensor/arena.h"
#include "kernels/common/context.h"

namespace caracal {

class Device;
class ModelOps;
class RecordedPasses;
class Tape;

// Owns nothing. One per training or evaluation thread.
struct Execution {
  Context ctx;
  // For what the host does meanwhile.
  Context host() const { return {DeviceType::kCpu, ctx.pool, nullptr}; }
  Arena* arena = nullptr;
  // Where the model is on an accelerator: that, of whose memory the companion
  // of `arena` is, and the model's operations there
  // (core/model/ops/model_ops.h). Null: on the host.
  Device* device = nullptr;
  Arena& device_arena() const { return *arena->companion(); }
  ModelOps* ops = nullptr;
  // Passes of the model there that may be launched again as they were recorded
  // (core/device/recorded_passes.h). Null: every pass is launched anew.
  RecordedPasses* recorded = nullptr;
  Collective* collective = nullptr;  // the tensor-parallel group
  Tape* tape = nullptr;              // null: no gradients are wanted

  // Called by a pass with gradients as soon as it adds no more to those of a
  // layer's parameters; layers are counted from this rank's first. Null: nobody
  // asks. In a pass that may be recorded it is not called each time: what is to
  // be done then goes by way of `recorded` (RecordedPasses::Between).
  const std::function<void(int layer)>* layer_done = nullptr;
  // Called by a pass with gradients when all of it is enqueued, before it waits
  // for the device: what is enqueued behind comes with the same wait. Null:
  // nobody asks.
  const std::function<void()>* pass_enqueued = nullptr;

  // With `check_finite`, every operation's result is scanned, and the first
  // NaN or infinity is reported in `status` by layer and tensor. Slow: used to
  // find the culprit after a step gave a non-finite loss.
  bool check_finite = false;

  // The first error of this pass (a lost peer, a non-finite tensor). Later
  // operations still run, on whatever is there; the caller looks at the end.
  absl::Status status;

  void Fail(const absl::Status& error) {
    if (status.ok()) status = error;
  }
  // Does nothing unless check_finite. Host memory. layer < 0: outside the
  // layers.
  void CheckFinite(int layer, absl::string_view tensor, ConstTensorView value);
};

}  // namespace caracal

#endif  // CARACAL_CORE_TAPE_EXECUTION_H_
