// The folder of a gang: how a coordinator, who may be killed at any moment, and
// the gang's supervisor, who goes on without it, agree on whether the gang
// runs, and how it ended.
//
//   spec.json   what to run. Durable before anybody starts it
//   credential  64 hex digits of chance, of this gang only; mode 0600
//   claim       made by whoever is first, with all it holds (link()): by the
//               supervisor, who then runs the gang, or by a coordinator that
//               wants to be sure that nobody ever will. Who comes second gives
//               up
//   lock        the supervisor holds a POSIX record lock on it as long as it
//               lives. The kernel tells who holds it, so that no process is
//               mistaken for it that was given its number later; asking takes
//               no lock, so that nobody is disturbed
//   first_step  number, over all stages, of the first step that the gang takes:
//               by its leading rank, before it. So it is known which lines of
//               the run's metrics are the gang's
//   output.log  what the gang prints
//   end.json    how it ended. Durable
//
// In time: spec.json | lock | claim | the gang runs | no process of it is left
// | end.json | the lock is free. So a gang that was claimed, whose lock is free
// and that has no end.json (looked for in this order) was killed with its
// supervisor.
//
// The folder is 0700: a gang is its user's. It must be on a local file system,
// for the lock's sake; Slurm's gangs (slurm_gang_folder.h) do without one.
#ifndef CARACAL_JOBS_LAUNCH_GANG_FOLDER_H_
#define CARACAL_JOBS_LAUNCH_GANG_FOLDER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/launch/descriptor.h"
#include "jobs/launch/gang_spec.h"

namespace caracal {

enum class GangPhase {
  kNotStarted,  // and may be any time, unless it is revoked
  kRevoked,     // never will be
  kRunning,
  kEnded,
  // Its supervisor is gone and has written no end: it was killed, or had no
  // room on the disk. Ranks may take a moment to follow.
  kVanished,
};
absl::string_view ToString(GangPhase phase);

struct GangEnding {
  GangEnd end = GangEnd::kLost;
  std::string message;
  absl::Time when;
};

struct GangSight {
  GangPhase phase = GangPhase::kNotStarted;
  // The supervisor's. 0 when it was not kRunning or kVanished, and when it is
  // not for sure the process that claimed the gang who holds the lock.
  pid_t pid = 0;
  uint64_t start_time = 0;  // of it: StartTimeOf()
  GangEnding ending;        // when kEnded
};

// Nothing but a path: what is in the folder is looked up by each call. Any
// number of threads and processes may use it. Errors name the file.
class GangFolder {
 public:
  explicit GangFolder(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }
  std::string output() const { return File("output.log"); }

  // The folder, spec and credential, durable. kAlreadyExists when the folder is
  // there, whatever it holds: such a gang was ordered before. kInvalidArgument
  // for text that is not UTF-8.
  absl::Status Create(const GangSpec& spec) const;
  absl::StatusOr<GangSpec> ReadSpec() const;
  absl::StatusOr<std::string> ReadCredential() const;

  // Durable. The first one stays. kNotFound when there is none.
  absl::Status WriteFirstStep(int64_t step) const;
  absl::StatusOr<int64_t> ReadFirstStep() const;

  // Of a gang that has ended, for good: it can't be told from one that never
  // was. OK when it is not there.
  absl::Status Remove() const;

  // What its files hold; none: it is not there.
  std::optional<int64_t> Bytes() const;

  // After it no supervisor will ever run this gang; makes the folder if need
  // be. OK again and again. kFailedPrecondition when a supervisor has claimed
  // it.
  absl::Status Revoke() const;

  // Errors say that nothing is known, not that the gang is not there.
  absl::StatusOr<GangSight> Inspect() const;

  // By the supervisor only, or by who counts as one.
  absl::Status WriteEnd(const GangEnding& ending) const;
  // kNotFound when there is no end.json, kDataLoss when it can't be read.
  absl::StatusOr<GangEnding> ReadEnd() const;

 private:
  friend class GangClaim;
  struct Claim;
  std::string File(const char* name) const;
  absl::StatusOr<Claim> ReadClaim() const;
  absl::Status WriteClaim(const std::string& text) const;
  // 0 when nobody holds it, -1 when it is not told who does.
  absl::StatusOr<pid_t> LockHolder() const;

  std::string path_;
};

// That this process is the gang's one supervisor, until it ends or this is
// destroyed. The lock belongs to the process, and goes when the process closes
// *any* descriptor of the lock file: whoever has a GangClaim must not Inspect()
// that folder.
class GangClaim {
 public:
  // kFailedPrecondition when the gang was revoked or claimed before.
  static absl::StatusOr<GangClaim> Take(const GangFolder& folder);
  uint64_t start_time() const { return start_time_; }  // of this process

 private:
  GangClaim(Descriptor lock, uint64_t start_time)
      : lock_(std::move(lock)), start_time_(start_time) {}
  Descriptor lock_;
  uint64_t start_time_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_GANG_FOLDER_H_
