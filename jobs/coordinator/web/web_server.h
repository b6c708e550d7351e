// The HTTP server of the coordinator: its page, what the page asks for, and
// metrics for Prometheus (docs/dashboard.md).
#ifndef CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_H_
#define CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "jobs/coordinator/web/api.h"

namespace caracal {

// Where it listens when nothing else is said.
inline constexpr char kDefaultWebAddress[] = "127.0.0.1:7273";

struct WebServerOptions {
  std::string listen = kDefaultWebAddress;  // HOST:PORT; port 0: a free one
  // Of events, at a time, half of them of one user; each has a thread.
  int most_streams = 48;
  int threads = 16;  // for everything else
  absl::Duration request_patience = absl::Seconds(15);
  absl::Duration stream_patience = absl::Seconds(15);  // between signs of life
  Clock* clock = Clock::Real();                        // of attempts to sign in
};

// Answers on threads of its own until it is destroyed.
//
// GET /            the page, and its files
// GET /api/...     WebApi; /api/session: SignIn
// GET /api/jobs/ID/events?after=SEQUENCE   Server-Sent Events; Last-Event-ID
//                                          goes before `after`
// GET /metrics     Prometheus' text format
// GET /healthz     200 when jobs are taken in and callers let in, else 503
class WebServer {
 public:
  // kInvalidArgument for an address that is none, or that others than this
  // machine can reach: there is nothing to tell them apart by.
  // kFailedPrecondition when another process has it.
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(
      const WebServerOptions& options, const WebSources& sources);
  ~WebServer();

  const std::string& address() const;  // host:port

 private:
  struct Parts;
  explicit WebServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_H_
