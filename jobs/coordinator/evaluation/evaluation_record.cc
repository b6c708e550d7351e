#include "jobs/coordinator/evaluation/evaluation_record.h"

namespace caracal {

const char* NameOf(EvaluationPhase phase) {
  constexpr const char* kNames[kEvaluationPhases] = {
      "planning", "measuring", "succeeded", "failed", "cancelled"};
  return kNames[static_cast<int>(phase)];
}

}  // namespace caracal
