// An accelerator: its memory, its stream, and the way there and back.
#ifndef CARACAL_CORE_DEVICE_DEVICE_H_
#define CARACAL_CORE_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/tensor/arena.h"
#include "core/tensor/tensor.h"
#include "kernels/common/context.h"

namespace caracal {

// Work that was recorded once, to be launched any number of times. Launches
// return at once; what goes wrong the device's Wait() tells. Must go before the
// device.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  // Onto the device's stream.
  virtual void Launch() = 0;
};

// One stream, on which everything is enqueued in order: kernels, and the copies
// here, but for what is said to go elsewhere. Only Wait() waits for it. Must
// outlive every tensor it gave. Belongs to one thread.
//
// What fails on the way does not stop the calls that follow, whose results are
// then of no use: Wait() tells. When step memory runs out, or what was enqueued
// does not end, ok() is false from then on, and what the arena gives may not be
// touched: the calls here do nothing any more, and whoever launches kernels
// looks before each.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceType type() const = 0;
  // For people: "NVIDIA H200".
  virtual const std::string& name() const = 0;
  virtual void* stream() const = 0;
  // One more, for work beside the first one's, of higher priority; who uses it
  // orders the two.
  virtual void* second_stream() const = 0;

  // Memory that is kept until the last copy of the tensor goes; not cleared,
  // 256-byte aligned. kResourceExhausted, with the bytes wanted and free.
  virtual absl::StatusOr<Tensor> Allocate(
      DType dtype, std::initializer_list<int64_t> shape) = 0;

  // For what a pass makes. Grows in the first step, is kept then.
  virtual Arena& arena() = 0;
  // One more, for what outlasts the passes that use arena(). Must go before the
  // device. kResourceExhausted.
  virtual absl::StatusOr<std::unique_ptr<Arena>> NewArena() = 0;
  virtual bool ok() const = 0;

  // `host` may change once the call returns.
  virtual void Upload(const void* host, size_t bytes, void* device) = 0;
  // Rows of `bytes` that lie one after another, to rows `stride` bytes apart.
  virtual void UploadRows(const void* host, size_t bytes, int64_t rows,
                          void* device, size_t stride) = 0;
  virtual void Copy(const void* from, size_t bytes, void* to) = 0;
  // Rows of `bytes`, `from_stride` and `to_stride` bytes apart.
  virtual void CopyRows(const void* from, size_t from_stride, size_t bytes,
                        int64_t rows, void* to, size_t to_stride) = 0;
  virtual void SetZero(void* device, size_t bytes) = 0;
  // Points in streams, [0, kPoints): what `stream` gets after Await()
  // runs behind what the stream that Mark() named last had by then. A point
  // that was marked before what is recorded now began stands for all that came
  // before the recording, which is launched behind it: points of other streams
  // than the first are to be marked in a recording, too, or awaited before it.
  static constexpr int kPoints = 4;
  virtual void Mark(int point, void* stream) = 0;
  virtual void Await(int point, void* stream) = 0;

  // On another stream of the device, whose work the caller orders.
  virtual void CopyOn(void* stream, const void* from, size_t bytes,
                      void* to) = 0;
  virtual void SetZeroOn(void* stream, void* device, size_t bytes) = 0;
  // `host` is written by the next Wait().
  virtual void Download(const void* device, size_t bytes, void* host) = 0;

  // What the stream gets from the first to the second is recorded instead of
  // run, with the addresses it names. In between kernels may be launched, and
  // memory copied and set to zero on the device, but nothing uploaded,
  // downloaded nor waited for, and the arena may not grow. What the second
  // stream gets is recorded with it, where that begins by awaiting a point of
  // the first; the recording ends behind it. kUnavailable: after the first
  // call, nothing is recorded, after the second, all of it is lost.
  virtual absl::Status BeginRecording() = 0;
  virtual absl::StatusOr<std::unique_ptr<DeviceGraph>> EndRecording() = 0;
  // Of what `enqueue` puts there.
  absl::StatusOr<std::unique_ptr<DeviceGraph>> Record(
      absl::FunctionRef<void()> enqueue) {
    const absl::Status begun = BeginRecording();
    if (!begun.ok()) return begun;
    enqueue();
    return EndRecording();
  }

  // As if an error had come on the way.
  virtual void Fail(const absl::Status& error) = 0;

  // A named range of this thread's time, for profilers; they nest
  // (device_range.h). Of a recorded pass there are none when it is launched.
  virtual void BeginRange(const char* /*name*/) {}
  virtual void EndRange() {}

  // Until all that was enqueued is done. The first error since the device was
  // opened: kResourceExhausted, or kUnavailable of a device that is lost, or
  // kDeadlineExceeded after the limit of set_stall(): work that waits for
  // another rank's device may never end. Then no later call waits again, and
  // what the device has is left to the end of the process.
  virtual absl::Status Wait() = 0;
  // How often that was so far, for whatever reason: an upload that has no more
  // room waits, too.
  virtual int64_t waits() const = 0;
  // The limit. Before it is over a thread may block elsewhere: a stream that
  // stands still takes some thousand launches. `hung` hears, from another
  // thread, of a pass that has not ended in twice the limit; null: nobody does.
  virtual void set_stall(
      absl::Duration limit,
      std::function<void(const absl::Status&)> hung = nullptr) = 0;
  // Around what is enqueued and waited for as one; the first may be called
  // again without the second.
  virtual void BeginPass() {}
  virtual void EndPass() {}

  // Bytes taken of the device's memory, at most so far, and all there are.
  virtual uint64_t peak_bytes() const = 0;
  virtual uint64_t total_bytes() const = 0;
  // Nobody has them now. 0 where the driver does not say.
  virtual uint64_t free_bytes() const = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_DEVICE_H_
