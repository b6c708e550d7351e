#include "core/device/recorded_passes.h"

#include <algorithm>
#include <utility>

namespace caracal {

void RecordedPasses::Run(PassKey key, absl::FunctionRef<void()> enqueue) {
  const auto met = std::find_if(passes_.begin(), passes_.end(),
                                [&](const Pass& p) { return p.key == key; });
  if (met == passes_.end()) {
    passes_.insert(passes_.begin(), Pass{std::move(key), nullptr});
    Forget(/*with_graph=*/false);
    return enqueue();
  }
  std::rotate(passes_.begin(), met, met + 1);
  Pass& pass = passes_.front();
  if (pass.graph != nullptr) {
    ++launches_;
    credit_ = std::min(credit_ + 1, kMostCredit);
    return pass.graph->Launch();
  }
  if (!status_.ok() || credit_ < kPrice || !device_->ok()) return enqueue();
  credit_ -= kPrice;
  absl::StatusOr<std::unique_ptr<DeviceGraph>> graph = device_->Record(enqueue);
  // What is recorded while step memory runs out is not whole.
  if (!device_->ok()) return;
  status_ = graph.status();
  if (!status_.ok()) return enqueue();
  pass.graph = *std::move(graph);
  pass.graph->Launch();
  Forget(/*with_graph=*/true);
}

void RecordedPasses::Forget(bool with_graph) {
  int count = 0;
  std::erase_if(passes_, [&](const Pass& p) {
    return (p.graph != nullptr) == with_graph && ++count > kMost;
  });
}

}  // namespace caracal
