// Passes that are recorded once and launched again: a pass of a small batch is
// over sooner than the host has launched its kernels one by one.
#ifndef CARACAL_CORE_DEVICE_RECORDED_PASSES_H_
#define CARACAL_CORE_DEVICE_RECORDED_PASSES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "core/device/device.h"

namespace caracal {

// All that the launches of a pass depend on: which there are, and what they are
// given by value, addresses among it.
class PassKey {
 public:
  template <typename T>
  void Add(const T* values, int64_t count) {
    static_assert(std::has_unique_object_representations_v<T> ||
                  std::is_floating_point_v<T>);
    bytes_.append(reinterpret_cast<const char*>(values), count * sizeof(T));
  }
  template <typename T>
  void Add(const T& value) {
    Add(&value, 1);
  }
  bool operator==(const PassKey&) const = default;

 private:
  std::string bytes_;
};

// A few passes of one model, which must stay where it is. Borrows the device;
// must go before it. Belongs to one thread.
class RecordedPasses {
 public:
  explicit RecordedPasses(Device* device) : device_(device) {}

  // Puts what `enqueue` launches on the device's stream: by calling it, or,
  // from the second call with the same key on, by what was recorded then.
  // Device::BeginRecording says what it may do; on the host it leaves nothing
  // behind that is needed afterwards, and it may be called twice. It must
  // enqueue the same for the same key.
  void Run(PassKey key, absl::FunctionRef<void()> enqueue);

  // From what `enqueue` of Run() does: runs `action` now or, where the pass is
  // recorded, each time that it is launched, between what is enqueued before
  // and behind this. For work that no recording takes, of other streams, which
  // the action orders. What it borrows outlives these passes.
  void Between(std::function<void()> action);

  // Calls that launched what had been recorded.
  int64_t launches() const { return launches_; }
  // Why none is recorded any more; OK while that goes well.
  const absl::Status& status() const { return status_; }

 private:
  struct Part {
    std::unique_ptr<DeviceGraph> graph;
    std::function<void()> then;  // or null
  };
  struct Pass {
    PassKey key;
    std::vector<Part> parts;  // none: met once
    bool recorded() const { return !parts.empty(); }
    void Launch() const;
  };

  // Of each kind, those that are recorded and those that are not.
  static constexpr int kMost = 8;
  // Recording takes the time of some launches. Where keys change all the time
  // it is given up when it has not paid: a pass that is launched again earns
  // one, one that is recorded costs kPrice.
  static constexpr int64_t kPrice = 8, kMostCredit = kMost * kPrice;

  void EndPart(std::function<void()> then);
  // Forgets the pass that was met longest ago, of those that are or
  // are not recorded, where there are too many.
  void Forget(bool recorded);

  Device* device_;
  std::vector<Pass> passes_;  // the latest first
  bool recording_ = false;
  std::vector<Part> parts_;  // of the recording that goes on
  int64_t credit_ = kMostCredit;
  absl::Status status_;  // of recording: where one failed the next would, too
  int64_t launches_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_DEVICE_RECORDED_PASSES_H_
