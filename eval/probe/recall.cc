#include "eval/probe/recall.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "eval/probe/words.h"

namespace caracal {
namespace {

// Longer than the sinks that students usually have: they hold no fact.
constexpr char kIntro[] = "Read this carefully and remember it.";
constexpr char kBefore[] = " The favorite food of ", kAfter[] = " is";

struct Pair {
  Tokens begin, food, end;  // " The favorite food of Anna is", " rice", "."
  int64_t fact_begin = 0, fact_end = 0;
};

// The full stop as it stands after the food: some tokenizers put a space before
// a piece that has none.
absl::StatusOr<Tokens> EncodeEnd(const PromptBuilder& builder,
                                 const std::string& food,
                                 const Tokens& food_tokens) {
  ASSIGN_OR_RETURN(const Tokens both, builder.Encode(food + "."));
  if (both.size() > food_tokens.size() &&
      std::equal(food_tokens.begin(), food_tokens.end(), both.begin())) {
    return Tokens(both.begin() + food_tokens.size(), both.end());
  }
  return builder.Encode(".");
}

// Foods that the answer is told from: token by token those of the pairs that
// begin as it does.
std::vector<std::vector<int32_t>> Candidates(const std::vector<Pair>& pairs,
                                             const Tokens& answer) {
  std::vector<std::vector<int32_t>> candidates;
  for (size_t i = 0; i < answer.size(); ++i) {
    std::set<int32_t> at;
    for (const Pair& pair : pairs) {
      if (pair.food.size() > i &&
          std::equal(answer.begin(), answer.begin() + i, pair.food.begin())) {
        at.insert(pair.food[i]);
      }
    }
    candidates.emplace_back(at.begin(), at.end());
  }
  return candidates;
}

}  // namespace

absl::StatusOr<ProbeSample> MakeRecallSample(const PromptBuilder& builder,
                                             int64_t length,
                                             ProbeDraws* draws) {
  const auto names = draws->Choose(kRecallPairs, PersonNames().size());
  const auto foods = draws->Choose(kRecallPairs, FoodNames().size());
  const auto queries = draws->Choose(kRecallQueries, kRecallPairs);
  ASSIGN_OR_RETURN(const Tokens intro, builder.Encode(kIntro));
  std::vector<Pair> pairs(kRecallPairs);
  size_t bare = builder.prefix().size() + intro.size();
  for (int i = 0; i < kRecallPairs; ++i) {
    Pair& pair = pairs[i];
    ASSIGN_OR_RETURN(
        pair.begin,
        builder.Encode(absl::StrCat(kBefore, PersonNames()[names[i]], kAfter)));
    const std::string food = absl::StrCat(" ", FoodNames()[foods[i]]);
    ASSIGN_OR_RETURN(pair.food, builder.Encode(food));
    ASSIGN_OR_RETURN(pair.end, EncodeEnd(builder, food, pair.food));
    const size_t all = pair.begin.size() + pair.food.size() + pair.end.size();
    const bool asked =
        std::find(queries.begin(), queries.end(), i) != queries.end();
    bare += asked ? 2 * all : all;
  }
  const int64_t room = length - static_cast<int64_t>(bare);
  if (room < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a recall prompt of ", length, " tokens: the shortest ", "has ", bare));
  }

  ProbeSample sample;
  Tokens* tokens = &sample.tokens;
  const auto here = [&] { return static_cast<int64_t>(tokens->size()); };
  Append(builder.prefix(), tokens);
  Append(intro, tokens);
  for (Pair& pair : pairs) {
    pair.fact_begin = here();
    for (const Tokens* piece : {&pair.begin, &pair.food, &pair.end}) {
      Append(*piece, tokens);
    }
    pair.fact_end = here();
  }
  for (const Tokens* sentence : builder.Fill(room, draws)) {
    Append(*sentence, tokens);
  }
  for (const size_t query : queries) {
    const Pair& pair = pairs[query];
    if (!sample.answers.empty()) Append(pair.end, tokens);
    Append(pair.begin, tokens);
    ProbeAnswer asked{here(), 0, pair.fact_begin, pair.fact_end, {}};
    Append(pair.food, tokens);
    asked.end = here();
    asked.candidates = Candidates(pairs, pair.food);
    sample.answers.push_back(std::move(asked));
  }
  return sample;
}

}  // namespace caracal
