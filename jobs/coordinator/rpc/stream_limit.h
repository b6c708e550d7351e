// How many streams are open at a time.
#ifndef CARACAL_JOBS_COORDINATOR_RPC_STREAM_LIMIT_H_
#define CARACAL_JOBS_COORDINATOR_RPC_STREAM_LIMIT_H_

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace caracal {

// Of all users together, and of each: one of them takes half at most, so that
// the others find some. Thread-safe.
class StreamLimit {
 public:
  // An open stream, until the last copy is destroyed. The limit outlives it.
  using Place = std::shared_ptr<void>;

  // `what` the streams are of, for people.
  StreamLimit(std::string what, int most);

  // kResourceExhausted says whose streams are too many.
  absl::StatusOr<Place> Enter(const std::string& user);

 private:
  void Leave(const std::string& user);

  const std::string what_;
  const int most_, most_of_user_;
  absl::Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> of_user_ ABSL_GUARDED_BY(mutex_);  // not 0
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_RPC_STREAM_LIMIT_H_
