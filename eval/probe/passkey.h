// Prompts of the probe "passkey".
#ifndef CARACAL_EVAL_PROBE_PASSKEY_H_
#define CARACAL_EVAL_PROBE_PASSKEY_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "eval/probe/probe_sample.h"
#include "eval/probe/prompt_builder.h"

namespace caracal {

// The sample of the given depth, 0 (first) to 1 (right before the question).
// kInvalidArgument: no room in `length` tokens.
absl::StatusOr<ProbeSample> MakePasskeySample(const PromptBuilder& builder,
                                              int64_t length, double depth,
                                              ProbeDraws* draws);

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_PASSKEY_H_
