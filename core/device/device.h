// An accelerator: its memory, its stream, and the way there and back.
#ifndef CARACAL_CORE_DEVICE_DEVICE_H_
#define CARACAL_CORE_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/tensor/arena.h"
#include "core/tensor/tensor.h"
#include "kernels/common/context.h"

namespace caracal {

// One stream, on which everything is enqueued in order: kernels, and the copies
// here. Only Wait() waits for it. Must outlive every tensor it gave. Belongs to
// one thread.
//
// What fails on the way does not stop the calls that follow, whose results are
// then of no use: Wait() tells. When step memory runs out, ok() is false from
// then on, and what the arena gives may not be touched: the calls here do
// nothing any more, and whoever launches kernels looks before each.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceType type() const = 0;
  // For people: "NVIDIA H200".
  virtual const std::string& name() const = 0;
  virtual void* stream() const = 0;

  // Memory that is kept until the last copy of the tensor goes; not cleared,
  // 256-byte aligned. kResourceExhausted, with the bytes wanted and free.
  virtual absl::StatusOr<Tensor> Allocate(
      DType dtype, std::initializer_list<int64_t> shape) = 0;

  // For what a pass makes. Grows in the first step, is kept then.
  virtual Arena& arena() = 0;
  virtual bool ok() const = 0;

  // `host` may change once the call returns.
  virtual void Upload(const void* host, size_t bytes, void* device) = 0;
  // Rows of `bytes` that lie one after another, to rows `stride` bytes apart.
  virtual void UploadRows(const void* host, size_t bytes, int64_t rows,
                          void* device, size_t stride) = 0;
  virtual void Copy(const void* from, size_t bytes, void* to) = 0;
  virtual void SetZero(void* device, size_t bytes) = 0;
  // `host` is written by the next Wait().
  virtual void Download(const void* device, size_t bytes, void* host) = 0;

  // Until all that was enqueued is done. The first error since the device was
  // opened: kResourceExhausted, or kUnavailable of a device that is lost.
  virtual absl::Status Wait() = 0;

  // Bytes taken of the device's memory, at most so far, and all there are.
  virtual uint64_t peak_bytes() const = 0;
  virtual uint64_t total_bytes() const = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_DEVICE_H_
