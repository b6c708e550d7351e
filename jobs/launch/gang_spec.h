// Which gang, and what its ranks run.
#ifndef CARACAL_JOBS_LAUNCH_GANG_SPEC_H_
#define CARACAL_JOBS_LAUNCH_GANG_SPEC_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/coordinator/state/job_record.h"

namespace caracal {

struct GangId {
  JobId job = 0;
  uint64_t epoch = 0;
  auto operator<=>(const GangId&) const = default;
};

// "7-3": epoch 3 of job 7.
std::string ToString(const GangId& id);
// The id that ToString() makes this of; none for other text.
std::optional<GangId> GangIdFromString(absl::string_view text);

struct GangSpec {
  GangId id;
  // What every rank runs, absolute. "": caracal-worker beside caracal-gang.
  std::string program = {};
  std::vector<std::string> arguments = {};  // of it; no shell sees them
  // What one rank runs when all are done, for what is no work for several: its
  // arguments. Empty: nothing.
  std::vector<std::string> afterwards = {};
  std::string working_directory = {};  // absolute. "": the launcher's
  int ranks = 1;
  int threads = 1;  // of each rank
  // What it asks of a cluster, as options of the command that submits it,
  // --name=value: they count instead of the launcher's own. Without a cluster
  // they have no effect.
  std::vector<std::string> cluster_options = {};
  bool operator==(const GangSpec&) const = default;
};

std::string GangSpecToJson(const GangSpec& spec);
// kDataLoss when it is not JSON, kInvalidArgument when a field is not what it
// has to be.
absl::StatusOr<GangSpec> GangSpecFromJson(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_GANG_SPEC_H_
