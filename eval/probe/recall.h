// Prompts of the probe "recall".
#ifndef CARACAL_EVAL_PROBE_RECALL_H_
#define CARACAL_EVAL_PROBE_RECALL_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "eval/probe/probe_sample.h"
#include "eval/probe/prompt_builder.h"

namespace caracal {

// Pairs stated and asked for: an answer is one of kRecallPairs.
inline constexpr int kRecallPairs = 5, kRecallQueries = 4;

// kInvalidArgument: no room in `length` tokens.
absl::StatusOr<ProbeSample> MakeRecallSample(const PromptBuilder& builder,
                                             int64_t length, ProbeDraws* draws);

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_RECALL_H_
