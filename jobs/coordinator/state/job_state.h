// The states of a job, and which may follow which.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_JOB_STATE_H_
#define CARACAL_JOBS_COORDINATOR_STATE_JOB_STATE_H_

#include <string>

namespace caracal {

enum class JobState {
  kQueued,      // waits for slots, or for the jobs it comes after
  kLaunching,   // its gang was asked for, and has not been heard of
  kRunning,     // its gang trains
  kPreempted,   // its gang was stopped by others and has saved: goes on as soon
                // as it may
  kRetrying,    // its gang was lost: starts again when its back-off is over
  kCancelling,  // its gang was asked to stop for good
  kSucceeded,
  kFailed,
  kCancelled,
};
inline constexpr int kJobStates = 9;

// What makes a job go from one state to another.
enum class JobCause {
  kSubmitted,
  kStarted,       // slots were free
  kHeard,         // the gang registered
  kFinished,      // the gang is done
  kGaveUp,        // an error that would come again, or one try too many
  kLost,          // an error that may pass
  kStopped,       // the gang saved and ended, asked by the cluster
  kCancel,        // somebody wants it gone
  kNothingToEnd,  // and no gang of it is left
  kResumed,       // somebody wants it again
  kBlocked,       // a job that it comes after did not succeed
};
inline constexpr int kJobCauses = 11;

// "QUEUED", ...: for programs, and as it is stored.
const char* NameOf(JobState state);
std::string WordOf(JobState state);  // "queued", ...: for people
const char* NameOf(JobCause cause);  // "submitted", ...

bool IsFinal(JobState state);
// Whether it has a gang, or may have one, and so holds slots.
bool HoldsSlots(JobState state);
// Whether it waits for a gang.
bool Waits(JobState state);

// Whether a job may go from one state to the other because of `cause`: the one
// table of what is legal.
bool MayGo(JobState from, JobState to, JobCause cause);

// The table, in Markdown, for docs/service.md.
std::string TransitionTable();

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_JOB_STATE_H_
