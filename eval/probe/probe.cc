#include "eval/probe/probe.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "eval/probe/passkey.h"
#include "eval/probe/prompt_builder.h"
#include "eval/probe/recall.h"

namespace caracal {

absl::string_view NameOf(ProbeKind kind) {
  return kind == ProbeKind::kPasskey ? "passkey" : "recall";
}

absl::StatusOr<ProbeKind> ProbeKindFromName(absl::string_view name) {
  std::string names;
  for (const ProbeKind kind : kAllProbes) {
    if (name == NameOf(kind)) return kind;
    absl::StrAppend(&names, names.empty() ? "" : ", ", NameOf(kind));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("there is no probe '", name, "'; there are ", names));
}

absl::StatusOr<std::vector<int64_t>> ParseProbeLengths(absl::string_view text) {
  std::vector<int64_t> lengths;
  for (const absl::string_view one :
       absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    int64_t length;
    if (!absl::SimpleAtoi(one, &length) || length < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "found '", one, "', expected numbers of tokens with commas between"));
    }
    lengths.push_back(length);
  }
  return lengths;
}

absl::StatusOr<std::vector<ProbeSample>> MakeProbeSamples(
    ProbeKind kind, const Tokenizer& tokenizer, int64_t length, int64_t count,
    uint64_t seed) {
  ASSIGN_OR_RETURN(const PromptBuilder builder,
                   PromptBuilder::Create(tokenizer));
  std::vector<ProbeSample> samples;
  for (int64_t i = 0; i < count; ++i) {
    ProbeDraws draws(seed, static_cast<uint64_t>(kind),
                     static_cast<uint64_t>(length), static_cast<uint64_t>(i));
    const double depth =
        (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    ASSIGN_OR_RETURN(ProbeSample sample,
                     kind == ProbeKind::kPasskey
                         ? MakePasskeySample(builder, length, depth, &draws)
                         : MakeRecallSample(builder, length, &draws));
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace caracal
