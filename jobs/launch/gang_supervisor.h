// Runs one gang from its folder, whoever else comes and goes.
//
// One rank, too, runs under mpirun: then there is one way for statuses, signals
// and ends, whatever the number of ranks.
//
// Signals: SIGUSR1 asks the ranks to save and stop, SIGTERM kills them; either
// way end.json is written. When the supervisor itself is killed, the kernel
// kills mpirun, and then the ranks, each as the death signal of its parent.
#ifndef CARACAL_JOBS_LAUNCH_GANG_SUPERVISOR_H_
#define CARACAL_JOBS_LAUNCH_GANG_SUPERVISOR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/launch/gang_folder.h"

namespace caracal {

// For a program of one thread, as it begins: leaves behind what its parent
// opened, ignored or blocked, and becomes the supervisor in a process of its
// own, in a session of its own. Returns in the parent as soon as that has
// claimed the gang, with kWorkerDone, or has given up, with kWorkerTransient or
// kWorkerFailed and a line on standard error. In the supervisor it returns at
// the end of the gang. Either way the result is the exit status to have.
int SuperviseGang(const std::string& folder);

// What a rank of a supervised gang begins as: `argv` is its program and
// arguments. It dies with mpirun. Returns the exit status when it can't start.
int BecomeRank(char** argv);

// How a gang's end, as RunLocalGang() tells it, counts.
GangEnd GangEndOf(const absl::Status& status);

// The last line that a rank wrote about its end: what begins with `mark`,
// without that. "" when there is none in the end of the file.
std::string LastWords(const std::string& output_file,
                      absl::string_view mark = "caracal-worker: ");

// The folder in memory that the ranks of this supervisor's gang share. Whoever
// finds the gang vanished removes it.
std::string SharedFolderOf(pid_t supervisor, uint64_t start_time);

// Removes it, if it is this user's.
void RemoveSharedFolder(const std::string& path);

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_GANG_SUPERVISOR_H_
