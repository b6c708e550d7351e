#include "jobs/coordinator/rpc/stream_limit.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace caracal {

StreamLimit::StreamLimit(std::string what, int most)
    : what_(std::move(what)), most_(most), most_of_user_((most + 1) / 2) {}

absl::StatusOr<StreamLimit::Place> StreamLimit::Enter(const std::string& user) {
  absl::MutexLock lock(&mutex_);
  const auto found = of_user_.find(user);
  if (found != of_user_.end() && found->second >= most_of_user_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        user, " has ", found->second, " streams of ", what_,
        " open, as many as one user may: end some, or try again later"));
  }
  if (open_ >= most_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "too many streams of ", what_, " are open, which are at most ", most_,
        " of all users: try again later"));
  }
  ++open_;
  ++of_user_[user];
  return Place(nullptr, [this, user](void*) { Leave(user); });
}

void StreamLimit::Leave(const std::string& user) {
  absl::MutexLock lock(&mutex_);
  --open_;
  const auto found = of_user_.find(user);
  if (--found->second == 0) of_user_.erase(found);
}

}  // namespace caracal
