// The threads and step memory of one process, made once.
#ifndef CARACAL_JOBS_MODEL_COMPUTE_H_
#define CARACAL_JOBS_MODEL_COMPUTE_H_

#include "core/collective/collective.h"
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

  Context context() { return {DeviceType::kCpu, &pool_, nullptr}; }
  Execution execution() {
    Execution exec;
    exec.ctx = context();
    exec.arena = &arena_;
    exec.collective = &collective_;
    return exec;
  }
  Arena& arena() { return arena_; }

 private:
  ThreadPool pool_;
  Arena arena_;
  SingleProcessCollective collective_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_COMPUTE_H_
