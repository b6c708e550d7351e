// What the coordinator knows of an evaluation, and the store keeps of it.
#ifndef CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_RECORD_H_
#define CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace caracal {

using EvaluationId = uint64_t;  // from 1, in the order of creation

enum class EvaluationPhase {
  kPlanning,   // its plan, part 0, is to be made
  kMeasuring,  // its parts are to be
  kSucceeded,  // final: all parts are there
  kFailed,     // final
  kCancelled,  // final
};
inline constexpr int kEvaluationPhases = 5;

// "planning", ...
const char* NameOf(EvaluationPhase phase);
inline bool IsFinal(EvaluationPhase phase) {
  return phase >= EvaluationPhase::kSucceeded;
}

struct EvaluationRequest {
  std::string owner = "";
  std::string spec = "";             // proto::EvaluationSpec, as bytes
  std::string idempotency_key = "";  // "": none
  bool operator==(const EvaluationRequest&) const = default;
};

enum class PartState { kPending, kLeased, kDone };

struct PartRecord {
  PartState state = PartState::kPending;
  // Counts its leases: what carries an older one's number is refused.
  uint64_t lease = 0;
  int64_t tries = 0;        // leases that came to nothing
  std::string worker = "";  // of the last lease, for people
  bool operator==(const PartRecord&) const = default;
};

struct EvaluationRecord {
  EvaluationId id = 0;
  EvaluationRequest request;
  EvaluationPhase phase = EvaluationPhase::kPlanning;
  std::string reason;   // of the phase, for people
  std::string version;  // of the program that made the plan; "": none yet
  absl::Time created, changed;
  // Part 0 is the plan; the others are there once it is.
  std::vector<PartRecord> parts = std::vector<PartRecord>(1);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_EVALUATION_EVALUATION_RECORD_H_
