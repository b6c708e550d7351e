// Calls to a coordinator that may be away, or busy, for a while.
#ifndef CARACAL_JOBS_EVALUATOR_PATIENT_CALL_H_
#define CARACAL_JOBS_EVALUATOR_PATIENT_CALL_H_

#include <atomic>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace caracal {

// What it points to outlives the call.
struct PatientCallOptions {
  // Looked at all the time: what the call is for is not wanted any more. Null:
  // always wanted.
  const std::atomic<bool>* stop = nullptr;  // kCancelled
  const std::atomic<bool>* lost = nullptr;  // kAborted
  // So long a coordinator that does not answer (kUnavailable) is waited for,
  // and one that answers with an error that may pass.
  absl::Duration away = absl::InfiniteDuration();
  absl::Duration refused = absl::InfiniteDuration();
  // A line for people: that it is tried again, and that it went through.
  std::function<void(const std::string&)> tell = nullptr;
};

// Calls again, ever later, until it went through, is refused for good or
// nobody waits any more. `call` has a deadline of its own.
absl::Status CallPatiently(const PatientCallOptions& options,
                           const std::function<absl::Status()>& call);

// That a message is larger than the other side takes: it never passes.
bool IsTooLarge(const absl::Status& status);

// Waits for `d`, or until one of them is set. Either may be null.
void SleepUnless(const std::atomic<bool>* stop, const std::atomic<bool>* lost,
                 absl::Duration d);

}  // namespace caracal

#endif  // CARACAL_JOBS_EVALUATOR_PATIENT_CALL_H_
