#include "jobs/evaluator/patient_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"

namespace caracal {
namespace {

constexpr absl::Duration kFirstBackOff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackOff = absl::Seconds(5);
constexpr absl::Duration kLook = absl::Milliseconds(20);

bool IsSet(const std::atomic<bool>* flag) { return flag != nullptr && *flag; }

// That it may go through later.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsInternal(status) ||
         absl::IsUnknown(status) ||
         (absl::IsResourceExhausted(status) && !IsTooLarge(status));
}

}  // namespace

bool IsTooLarge(const absl::Status& status) {
  // gRPC has no code of its own for it: this is what it says.
  return absl::IsResourceExhausted(status) &&
         absl::StrContains(status.message(), "message larger than max");
}

void SleepUnless(const std::atomic<bool>* stop, const std::atomic<bool>* lost,
                 absl::Duration d) {
  Clock* const clock = Clock::Real();
  const absl::Duration end = clock->Now() + d;
  while (!IsSet(stop) && !IsSet(lost) && clock->Now() < end) {
    absl::SleepFor(std::min(kLook, end - clock->Now()));
  }
}

absl::Status CallPatiently(const PatientCallOptions& options,
                           const std::function<absl::Status()>& call) {
  Clock* const clock = Clock::Real();
  const absl::Duration begun = clock->Now();
  absl::Duration back_off = kFirstBackOff;
  bool told = false;
  while (true) {
    absl::Status status = call();
    if (status.ok()) {
      if (told && options.tell) options.tell("the coordinator is back");
      return status;
    }
    if (!MayPass(status)) return status;
    if (!std::exchange(told, true) && options.tell) {
      options.tell(absl::StrCat(status.message(), "; trying again"));
    }
    const absl::Duration patience =
        absl::IsUnavailable(status) ? options.away : options.refused;
    if (clock->Now() - begun >= patience) return status;
    SleepUnless(options.stop, options.lost, back_off);
    if (IsSet(options.stop)) return absl::CancelledError("stopped");
    if (IsSet(options.lost)) {
      return absl::AbortedError("the part is not this worker's any more");
    }
    back_off = std::min(2 * back_off, kLongestBackOff);
  }
}

}  // namespace caracal
