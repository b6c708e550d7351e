// The processes of a gang that a supervisor started on this machine: found by
// a mark in their environment, which every child inherits.
#ifndef CARACAL_JOBS_LAUNCH_GANG_PROCESSES_H_
#define CARACAL_JOBS_LAUNCH_GANG_PROCESSES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace caracal {

// Set to the gang's folder for mpirun and the ranks, who find their credential
// by it. Not in the environment that the supervisor itself was started with.
inline constexpr char kGangVariable[] = "CARACAL_GANG";

// Whether the process was started with the mark of this gang. False of one that
// is gone, is a zombie, or is another user's.
bool IsOfGang(pid_t pid, const std::string& folder);

// All of them that there are now, but this one.
std::vector<pid_t> GangProcesses(const std::string& folder);

// Sends SIGKILL to each of GangProcesses(). Returns how many there were: to be
// called again until that is 0. Meant for a gang that starts no more processes;
// those that a process of it starts meanwhile are seen by the next call.
int KillGangProcesses(const std::string& folder);

// When a process began, in clock ticks since boot: with its id, it names one
// process of this boot. kNotFound when it is gone.
absl::StatusOr<uint64_t> StartTimeOf(pid_t pid);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_GANG_PROCESSES_H_
