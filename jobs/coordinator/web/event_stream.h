// One reader of Server-Sent Events.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_EVENT_STREAM_H_
#define CARACAL_JOBS_COORDINATOR_WEB_EVENT_STREAM_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_condition.h"
#include "jobs/coordinator/rpc/event_hub.h"

namespace caracal {

// Of one thread, but for Stop().
class EventStream {
 public:
  // Events of `job` (0: of all) after `after`. The hub outlives it.
  EventStream(EventHub* hub, JobId job, uint64_t after);
  ~EventStream();

  struct Piece {
    std::string text;   // whole messages; a comment when nothing happened
    bool last = false;  // the reader is to come again, after what it has seen
  };
  // Waits for events at most `patience`.
  Piece Next(absl::Duration patience);

  // Next() returns soon, with the last piece.
  void Stop();

 private:
  void Wake();

  absl::Mutex mutex_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = true;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition changed_;
  const std::shared_ptr<Subscription> subscription_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_EVENT_STREAM_H_
