// Where a kernel runs: device and the means to run on it.
#ifndef CARACAL_KERNELS_COMMON_CONTEXT_H_
#define CARACAL_KERNELS_COMMON_CONTEXT_H_

#include <cstddef>

#include "kernels/common/thread_pool.h"

namespace caracal {

enum class DeviceType { kCpu, kCuda };

// Passed to every kernel, by const reference. Owns nothing.
//  - kCpu: `pool` is required; the kernel returns when its work is done.
//  - kCuda: `stream` is a cudaStream_t; the kernel returns when enqueued.
struct Context {
  DeviceType device = DeviceType::kCpu;
  ThreadPool* pool = nullptr;
  void* stream = nullptr;
};

// Scratch memory a kernel asks its caller for: kernels never allocate. A
// kernel that needs some has a function XxxWorkspaceBytes(ctx, ...); `data`
// must be 64-byte aligned. Contents need not survive between calls.
struct Workspace {
  void* data = nullptr;
  size_t bytes = 0;
};

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_CONTEXT_H_
