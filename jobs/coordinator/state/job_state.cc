#include "jobs/coordinator/state/job_state.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

using enum JobState;

struct Transition {
  JobState from;
  JobCause cause;
  JobState to;
};

constexpr Transition kTransitions[] = {
    {kQueued, JobCause::kStarted, kLaunching},
    {kQueued, JobCause::kBlocked, kFailed},
    {kQueued, JobCause::kCancel, kCancelled},

    {kLaunching, JobCause::kHeard, kRunning},
    {kLaunching, JobCause::kFinished, kSucceeded},
    {kLaunching, JobCause::kGaveUp, kFailed},
    {kLaunching, JobCause::kLost, kRetrying},
    {kLaunching, JobCause::kStopped, kPreempted},
    {kLaunching, JobCause::kCancel, kCancelling},

    {kRunning, JobCause::kFinished, kSucceeded},
    {kRunning, JobCause::kGaveUp, kFailed},
    {kRunning, JobCause::kLost, kRetrying},
    {kRunning, JobCause::kStopped, kPreempted},
    {kRunning, JobCause::kCancel, kCancelling},

    {kPreempted, JobCause::kStarted, kLaunching},
    {kPreempted, JobCause::kCancel, kCancelled},

    {kRetrying, JobCause::kStarted, kLaunching},
    {kRetrying, JobCause::kCancel, kCancelled},

    // Whatever its gang says last: it was done before it could be stopped.
    {kCancelling, JobCause::kFinished, kSucceeded},
    {kCancelling, JobCause::kNothingToEnd, kCancelled},

    {kFailed, JobCause::kResumed, kQueued},
    {kCancelled, JobCause::kResumed, kQueued},
};

}  // namespace

const char* NameOf(JobState state) {
  switch (state) {
    case kQueued:
      return "QUEUED";
    case kLaunching:
      return "LAUNCHING";
    case kRunning:
      return "RUNNING";
    case kPreempted:
      return "PREEMPTED";
    case kRetrying:
      return "RETRYING";
    case kCancelling:
      return "CANCELLING";
    case kSucceeded:
      return "SUCCEEDED";
    case kFailed:
      return "FAILED";
    case kCancelled:
      return "CANCELLED";
  }
  return "?";
}

std::string WordOf(JobState state) {
  return absl::AsciiStrToLower(NameOf(state));
}

const char* NameOf(JobCause cause) {
  switch (cause) {
    case JobCause::kSubmitted:
      return "submitted";
    case JobCause::kStarted:
      return "slots were free";
    case JobCause::kHeard:
      return "its gang registered";
    case JobCause::kFinished:
      return "its gang is done";
    case JobCause::kGaveUp:
      return "an error that would come again, or one try too many";
    case JobCause::kLost:
      return "its gang was lost";
    case JobCause::kStopped:
      return "its gang was stopped, and saved";
    case JobCause::kCancel:
      return "cancel";
    case JobCause::kNothingToEnd:
      return "its gang has ended";
    case JobCause::kResumed:
      return "resume";
    case JobCause::kBlocked:
      return "a job that it comes after did not succeed";
  }
  return "?";
}

bool IsFinal(JobState state) {
  return state == kSucceeded || state == kFailed || state == kCancelled;
}

bool HoldsSlots(JobState state) {
  return state == kLaunching || state == kRunning || state == kCancelling;
}

bool Waits(JobState state) {
  return state == kQueued || state == kPreempted || state == kRetrying;
}

bool MayGo(JobState from, JobState to, JobCause cause) {
  return std::any_of(std::begin(kTransitions), std::end(kTransitions),
                     [&](const Transition& t) {
                       return t.from == from && t.to == to && t.cause == cause;
                     });
}

std::string TransitionTable() {
  std::string out = "| from | because | to |\n|---|---|---|\n";
  for (const Transition& t : kTransitions) {
    absl::StrAppend(&out, "| ", NameOf(t.from), " | ", NameOf(t.cause), " | ",
                    NameOf(t.to), " |\n");
  }
  return out;
}

}  // namespace caracal
