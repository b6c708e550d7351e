// The threads, step memory and device of one process, made once.
#ifndef CARACAL_JOBS_MODEL_COMPUTE_H_
#define CARACAL_JOBS_MODEL_COMPUTE_H_

#include <memory>

#include "absl/status/status.h"
#include "core/base/status.h"
#include "core/collective/collective.h"
#include "core/device/open_cuda.h"
#include "core/model/ops/make_cuda_ops.h"
#include "core/tape/execution.h"
#include "core/tensor/arena.h"
#include "kernels/common/thread_pool.h"

namespace caracal {

// Owns what an Execution borrows. Must outlive every Execution it gave.
class Compute {
 public:
  // threads 0: one a core this process may use.
  explicit Compute(int threads)
      : pool_(threads > 0 ? threads : AvailableCores()) {}

  // Passes run on a GPU from now on, which becomes the calling thread's. Call
  // before the first execution().
  // Errors, in one line: those of OpenCuda(); kResourceExhausted.
  absl::Status UseCuda(int index = 0) {
    ASSIGN_OR_RETURN(device_, OpenCuda(index));
    ASSIGN_OR_RETURN(ops_, MakeCudaOps(device_.get()));
    arena_.set_companion(&device_->arena());
    return absl::OkStatus();
  }
  Device* device() { return device_.get(); }  // null: the host

  // Of the host.
  Context context() { return {DeviceType::kCpu, &pool_, nullptr}; }
  Execution execution() {
    Execution exec;
    exec.ctx = context();
    if (device_ != nullptr) {
      exec.ctx.device = device_->type();
      exec.ctx.stream = device_->stream();
      exec.device = device_.get();
      exec.ops = ops_.get();
    }
    exec.arena = &arena_;
    exec.collective = &collective_;
    return exec;
  }
  Arena& arena() { return arena_; }

 private:
  ThreadPool pool_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<ModelOps> ops_;
  Arena arena_;
  SingleProcessCollective collective_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_COMPUTE_H_
