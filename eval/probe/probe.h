// Text probes that need the past: what they ask, and their prompts.
//
//   passkey  a number of five digits in a sentence somewhere between unrelated
//            ones; asked for at the end. The samples spread it evenly over the
//            prompt's depth.
//   recall   multi-query associative recall (the idea of MQAR, arXiv
//            2312.04927, in words): five people and what each likes to eat,
//            stated first; at the end the same sentences begin for four of
//            them, one after another.
//
// Everything is made here, from a seed and the model's own tokenizer: the same
// seed, tokenizer, length and number of samples give the same tokens. Prompts
// are plain text to be continued, without a chat template: so the probes are
// the same for base and instructed models, and small ones answer.
#ifndef CARACAL_EVAL_PROBE_PROBE_H_
#define CARACAL_EVAL_PROBE_PROBE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/tokenizer/tokenizer.h"
#include "eval/probe/probe_sample.h"

namespace caracal {

enum class ProbeKind : uint8_t { kPasskey, kRecall };
inline constexpr ProbeKind kAllProbes[] = {ProbeKind::kPasskey,
                                           ProbeKind::kRecall};

// "passkey", "recall".
absl::string_view NameOf(ProbeKind kind);
// kInvalidArgument, listing the names there are.
absl::StatusOr<ProbeKind> ProbeKindFromName(absl::string_view name);

// "256,1024": lengths in tokens. kInvalidArgument with the one that is none.
absl::StatusOr<std::vector<int64_t>> ParseProbeLengths(absl::string_view text);

// `count` samples whose tokens, answers included, are at most `length`, and
// fewer by less than a sentence. kInvalidArgument: not even the shortest
// prompt has room.
absl::StatusOr<std::vector<ProbeSample>> MakeProbeSamples(
    ProbeKind kind, const Tokenizer& tokenizer, int64_t length, int64_t count,
    uint64_t seed);

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_PROBE_H_
