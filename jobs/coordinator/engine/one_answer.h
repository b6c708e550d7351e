// What whoever asks for a change is told, be it stored or not.
#ifndef CARACAL_JOBS_COORDINATOR_ENGINE_ONE_ANSWER_H_
#define CARACAL_JOBS_COORDINATOR_ENGINE_ONE_ANSWER_H_

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace caracal {

// Of a change that waits until the store takes it: kUnavailable.
inline absl::Status CantBeStored(const absl::Status& why) {
  return absl::UnavailableError(
      absl::StrCat("this can't be stored now, and may come about once it can: ",
                   why.message()));
}

// Result is a Status or a StatusOr. For the two callbacks of a CommitQueue,
// which come on one thread at a time, in either order, or not at all.
template <typename Result>
class OneAnswer {
 public:
  explicit OneAnswer(std::function<void(Result)> reply)
      : reply_(std::move(reply)) {}

  Result result;

  // It is durable.
  void Stored() {
    if (!told_) reply_(result);
  }
  // It can't be made durable, and waits until it can.
  void Held(const absl::Status& why) {
    told_ = true;
    reply_(CantBeStored(why));
  }

 private:
  std::function<void(Result)> reply_;
  bool told_ = false;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ENGINE_ONE_ANSWER_H_
