// Starts a gang of caracal-worker ranks on this machine.
#ifndef CARACAL_JOBS_LAUNCH_LOCAL_GANG_H_
#define CARACAL_JOBS_LAUNCH_LOCAL_GANG_H_

#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace caracal {

// What a rank's process ends with.
inline constexpr int kWorkerDone = 0;
inline constexpr int kWorkerFailed = 1;      // the same again would fail again
inline constexpr int kWorkerTransient = 75;  // resume: a lost rank, a full disk
inline constexpr int kWorkerStopped = 85;    // asked to stop, and saved: resume

struct GangCommand {
  int ranks = 1;
  int threads = 1;                     // of each
  std::string program = {};            // of each. "": FindWorker()
  std::vector<std::string> arguments;  // of it
  // NAME=VALUE, over this process's.
  std::vector<std::string> environment = {};
  // Whether the machine is this gang's: ranks may be held to cores.
  bool alone = true;
  // An empty folder in memory, for what mpirun and the ranks share. "": one
  // that is made, and removed at the end.
  std::string shared_folder = {};
  // When it is set, the ranks are asked to save and stop. Null: never.
  const std::atomic<bool>* stop = nullptr;
  // When it is set, mpirun and the ranks are killed. Null: never.
  const std::atomic<bool>* kill = nullptr;
  // What mpirun gets when this process dies. SIGTERM lets it end the ranks;
  // after SIGKILL they have to notice.
  int death_signal = SIGTERM;
};

// Runs the ranks under mpirun, with their output on this process's, until they
// end. No shell is involved. kCancelled when they were stopped and have saved;
// kUnavailable when starting again may help, or they were killed as asked for;
// kFailedPrecondition when mpirun or caracal-worker is not to be found;
// kInternal for what the ranks' own lines explain. How to go on the caller
// knows.
absl::Status RunLocalGang(const GangCommand& command);

// What mpirun's end, as waitpid() tells it, says of the ranks: as
// RunLocalGang() has it. mpirun exits with 128 and the signal that ended a
// rank.
absl::Status GangStatus(int wait_status);

// The argument vector of it: mpirun and its options, the worker and its.
// `shared_folder`, if not empty, is where they keep what the ranks share; with
// `bind` each rank is held to a core.
std::vector<std::string> LocalGangArguments(const GangCommand& command,
                                            const std::string& worker,
                                            const std::string& shared_folder,
                                            bool bind, bool root);

// A program of this name beside this one, or in its folder `build_folder` of a
// build. kNotFound naming the places.
absl::StatusOr<std::string> FindProgram(const std::string& name,
                                        const std::string& build_folder);
// caracal-worker.
absl::StatusOr<std::string> FindWorker();

// Whether what gangs of this machine need is there: mpirun in one of the
// folders of `path`, as PATH has them, and caracal-worker. kNotFound naming
// what is missing.
absl::Status CheckLocalGangs(const std::string& path);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_LOCAL_GANG_H_
