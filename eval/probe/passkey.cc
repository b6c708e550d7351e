#include "eval/probe/passkey.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr char kIntro[] =
    "Somewhere in the text below a pass key is hidden. Find it and remember "
    "it.\n\n";
constexpr char kQuestion[] = "\n\nWhat is the pass key? The pass key is";
constexpr int kDigits = 5;
// Numbers whose tokens stand for all: a digit a token, this holds every digit
// at every place; tokenizers that join digits have a thousand at most.
constexpr int kPool = 64;

std::string DrawKey(ProbeDraws* draws) {
  std::string key;
  for (int i = 0; i < kDigits; ++i) {
    key += static_cast<char>('0' + draws->Below(10));
  }
  return key;
}

// Numbers that the answer is told from: of as many tokens as it has.
absl::StatusOr<std::vector<std::vector<int32_t>>> Candidates(
    const PromptBuilder& builder, const Tokens& answer, ProbeDraws* draws) {
  std::vector<std::set<int32_t>> at(answer.size());
  for (size_t i = 0; i < answer.size(); ++i) at[i].insert(answer[i]);
  for (int n = 0; n < kPool; ++n) {
    ASSIGN_OR_RETURN(const Tokens other,
                     builder.Encode(absl::StrCat(" ", DrawKey(draws))));
    if (other.size() != answer.size()) continue;
    for (size_t i = 0; i < answer.size(); ++i) at[i].insert(other[i]);
  }
  std::vector<std::vector<int32_t>> candidates;
  for (const std::set<int32_t>& tokens : at) {
    candidates.emplace_back(tokens.begin(), tokens.end());
  }
  return candidates;
}

}  // namespace

absl::StatusOr<ProbeSample> MakePasskeySample(const PromptBuilder& builder,
                                              int64_t length, double depth,
                                              ProbeDraws* draws) {
  const std::string key = DrawKey(draws);
  ASSIGN_OR_RETURN(const Tokens intro, builder.Encode(kIntro));
  ASSIGN_OR_RETURN(const Tokens fact,
                   builder.Encode(absl::StrCat(" The pass key is ", key,
                                               ". Keep it in mind: ", key,
                                               " is the pass key.")));
  ASSIGN_OR_RETURN(const Tokens question, builder.Encode(kQuestion));
  ASSIGN_OR_RETURN(const Tokens answer, builder.Encode(absl::StrCat(" ", key)));
  const size_t bare = builder.prefix().size() + intro.size() + fact.size() +
                      question.size() + answer.size();
  const int64_t room = length - static_cast<int64_t>(bare);
  if (room < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a passkey prompt of ", length, " tokens: the shortest ",
                     "has ", bare));
  }
  const std::vector<const Tokens*> filler = builder.Fill(room, draws);
  const auto before = static_cast<size_t>(
      std::lround(depth * static_cast<double>(filler.size())));

  ProbeSample sample;
  ProbeAnswer asked;
  Tokens* tokens = &sample.tokens;
  const auto here = [&] { return static_cast<int64_t>(tokens->size()); };
  Append(builder.prefix(), tokens);
  Append(intro, tokens);
  for (size_t i = 0; i < before; ++i) Append(*filler[i], tokens);
  asked.fact_begin = here();
  Append(fact, tokens);
  asked.fact_end = here();
  for (size_t i = before; i < filler.size(); ++i) Append(*filler[i], tokens);
  Append(question, tokens);
  asked.begin = here();
  Append(answer, tokens);
  asked.end = here();
  ASSIGN_OR_RETURN(asked.candidates, Candidates(builder, answer, draws));
  sample.answers.push_back(std::move(asked));
  return sample;
}

}  // namespace caracal
