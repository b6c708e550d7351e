// For tests: a GPU that stands still.
#ifndef CARACAL_TESTS_GPU_BUSY_GPU_H_
#define CARACAL_TESTS_GPU_BUSY_GPU_H_

#include <cuda_runtime_api.h>

namespace caracal {

// While it lives no kernel begins on the device that was the thread's current
// one: a kernel of its own has all there is to run on. Copies may go on.
class BusyGpu {
 public:
  BusyGpu();
  BusyGpu(const BusyGpu&) = delete;
  BusyGpu& operator=(const BusyGpu&) = delete;
  ~BusyGpu();

 private:
  struct Words;  // of memory that host and device share
  Words* words_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

}  // namespace caracal

#endif  // CARACAL_TESTS_GPU_BUSY_GPU_H_
