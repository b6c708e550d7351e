#include "core/device/recorded_passes.h"

#include <algorithm>
#include <utility>

namespace caracal {

void RecordedPasses::Run(PassKey key, absl::FunctionRef<void()> enqueue) {
  const auto met = std::find_if(passes_.begin(), passes_.end(),
                                [&](const Pass& p) { return p.key == key; });
  if (met == passes_.end()) {
    passes_.insert(passes_.begin(), Pass{std::move(key), {}});
    Forget(/*recorded=*/false);
    return enqueue();
  }
  std::rotate(passes_.begin(), met, met + 1);
  Pass& pass = passes_.front();
  if (pass.recorded()) {
    ++launches_;
    credit_ = std::min(credit_ + 1, kMostCredit);
    return pass.Launch();
  }
  if (!status_.ok() || credit_ < kPrice || !device_->ok()) return enqueue();
  credit_ -= kPrice;
  status_ = device_->BeginRecording();
  if (!status_.ok()) return enqueue();
  recording_ = true;
  enqueue();
  EndPart(nullptr);
  recording_ = false;
  std::vector<Part> parts = std::move(parts_);
  parts_.clear();
  // What is recorded while step memory runs out is not whole.
  if (!device_->ok()) return;
  if (!status_.ok()) return enqueue();
  pass.parts = std::move(parts);
  pass.Launch();
  Forget(/*recorded=*/true);
}

void RecordedPasses::Pass::Launch() const {
  for (const Part& part : parts) {
    part.graph->Launch();
    if (part.then != nullptr) part.then();
  }
}

void RecordedPasses::Between(std::function<void()> action) {
  if (!recording_) return action();
  EndPart(std::move(action));
  // The device recorded a moment ago: now it may be lost. What is enqueued runs
  // then, if it does, beside a part that never will.
  const absl::Status begun = device_->BeginRecording();
  if (!begun.ok()) device_->Fail(begun);
}

void RecordedPasses::EndPart(std::function<void()> then) {
  absl::StatusOr<std::unique_ptr<DeviceGraph>> graph = device_->EndRecording();
  status_.Update(graph.status());
  if (graph.ok()) parts_.push_back({*std::move(graph), std::move(then)});
}

void RecordedPasses::Forget(bool recorded) {
  int count = 0;
  std::erase_if(passes_, [&](const Pass& p) {
    return p.recorded() == recorded && ++count > kMost;
  });
}

}  // namespace caracal
