// A job's events, for as long as it takes.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_EVENT_READER_H_
#define CARACAL_JOBS_CLIENT_SERVICE_EVENT_READER_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/client/service/server_option.h"

namespace caracal {

struct EventReaderOptions {
  uint64_t job = 0;    // 0: all
  uint64_t after = 0;  // sequence number
  // How long a coordinator that went away is waited for.
  absl::Duration patience = absl::Minutes(5);
  // The coordinator is away, or back. May be empty.
  std::function<void(bool away)> away = {};
};

// Calls `event` for each event, the past ones first, until it returns false.
// Goes on where it was when the coordinator is started again, or found this
// reader too slow. kUnavailable when it does not come back, kNotFound without
// such a job.
absl::Status ReadEvents(
    const ServerOption& server, EventReaderOptions options,
    const std::function<bool(const proto::JobEvent&)>& event);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_EVENT_READER_H_
