// What Prometheus scrapes: its text format, version 0.0.4.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_PROMETHEUS_H_
#define CARACAL_JOBS_COORDINATOR_WEB_PROMETHEUS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/coordinator/engine/coordinator_stats.h"
#include "jobs/coordinator/engine/evaluations.h"
#include "jobs/coordinator/rpc/submitter.h"

namespace caracal {

inline constexpr char kPrometheusType[] =
    "text/plain; version=0.0.4; charset=utf-8";

// Of the page's server itself.
struct WebCounts {
  std::array<std::atomic<uint64_t>, 5> requests = {};  // answered 1xx, 2xx, ...
  std::atomic<int64_t> streams{0};                     // open now
};

// Of the coordinator, apart from its jobs.
struct ServiceHealth {
  absl::Status store;  // whether changes are written
  absl::Status audit;  // whether the audit log is
  // When the server's certificate does; none: it shows none.
  std::optional<absl::Time> certificate_expires = {};
};

// docs/dashboard.md has the names; deploy/ has what uses them.
std::string PrometheusText(const CoordinatorStats& stats,
                           const EvaluationStats& evaluations,
                           const SubmissionCounts& submissions,
                           const ServiceHealth& health, const WebCounts& web);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_PROMETHEUS_H_
