#include "dist/handshake/handshake.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "core/collective/agree.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

// What is exchanged first is text of a fixed length, so that ranks of another
// byte order, or of another version of this file, are told what is wrong.
constexpr char kGreeting[] = "caracal handshake 1, bytes ";
constexpr size_t kGreetingBytes = sizeof(kGreeting) - 1 + 10;
constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxShown = 200;  // of a value, in an error

struct RankFacts {
  std::string host;
  std::vector<Fact> facts;
};

void AppendString(const std::string& value, std::string* text) {
  absl::StrAppend(text, value.size(), ":", value);
}

// Takes one off the front of `text`.
std::optional<std::string> TakeString(absl::string_view* text) {
  const size_t colon = text->find(':');
  size_t bytes = 0;
  if (colon == absl::string_view::npos ||
      !absl::SimpleAtoi(text->substr(0, colon), &bytes) ||
      bytes > text->size() - colon - 1) {
    return std::nullopt;
  }
  std::string value(text->substr(colon + 1, bytes));
  text->remove_prefix(colon + 1 + bytes);
  return value;
}

std::string Serialize(const RankFacts& rank) {
  std::string text;
  AppendString(rank.host, &text);
  for (const Fact& fact : rank.facts) {
    AppendString(fact.name, &text);
    AppendString(fact.value, &text);
  }
  return text;
}

std::optional<RankFacts> Parse(absl::string_view text) {
  RankFacts rank;
  const std::optional<std::string> host = TakeString(&text);
  if (!host.has_value()) return std::nullopt;
  rank.host = *host;
  while (!text.empty()) {
    const std::optional<std::string> name = TakeString(&text);
    const std::optional<std::string> value = TakeString(&text);
    if (!name.has_value() || !value.has_value()) return std::nullopt;
    rank.facts.push_back({*name, *value});
  }
  return rank;
}

const std::string* Find(const RankFacts& rank, const std::string& name) {
  for (const Fact& fact : rank.facts) {
    if (fact.name == name) return &fact.value;
  }
  return nullptr;
}

absl::Status Stranger(int rank, const std::string& what) {
  return ErrorOfRank(absl::FailedPreconditionError(absl::StrCat(
                         "rank ", rank, " is of another program: it said ",
                         Quoted(what), " where ranks compare what they are")),
                     0);
}

std::string Show(const std::string* value) {
  return value == nullptr ? "none" : Quoted(*value, kMaxShown);
}

absl::Status Compare(const std::vector<RankFacts>& ranks) {
  std::vector<std::string> names;
  for (const RankFacts& rank : ranks) {
    for (const Fact& fact : rank.facts) {
      if (std::find(names.begin(), names.end(), fact.name) == names.end()) {
        names.push_back(fact.name);
      }
    }
  }
  std::string first;
  std::vector<std::string> others;
  for (const std::string& name : names) {
    const std::string* const expected = Find(ranks[0], name);
    for (size_t r = 1; r < ranks.size(); ++r) {
      const std::string* const found = Find(ranks[r], name);
      if (expected == nullptr ? found == nullptr
                              : found != nullptr && *found == *expected) {
        continue;
      }
      if (first.empty()) {
        first =
            absl::StrCat("the ranks differ in the ", name, ": ", Show(expected),
                         " on rank 0 (", ranks[0].host, "), ", Show(found),
                         " on rank ", r, " (", ranks[r].host, ")");
      } else {
        others.push_back(name);
      }
      break;
    }
  }
  if (first.empty()) return absl::OkStatus();
  if (!others.empty()) {
    absl::StrAppend(&first, "; and in the ", absl::StrJoin(others, ", "));
  }
  // All know it: one tells.
  return ErrorOfRank(absl::FailedPreconditionError(first), 0);
}

}  // namespace

absl::Status CompareFacts(Collective& group, const std::string& host,
                          const std::vector<Fact>& facts) {
  const std::string mine = Serialize({host, facts});
  CARACAL_CHECK(mine.size() <= kMaxBytes) << mine.size() << " bytes of facts";
  const std::string greeting =
      absl::StrFormat("%s%010d", kGreeting, static_cast<int>(mine.size()));
  std::string greetings(kGreetingBytes * group.size(), '\0');
  RETURN_IF_ERROR(
      group.AllGatherBytes(greeting.data(), kGreetingBytes, greetings.data()));
  std::vector<int64_t> counts;
  int64_t total = 0;
  for (int r = 0; r < group.size(); ++r) {
    const absl::string_view said =
        absl::string_view(greetings).substr(r * kGreetingBytes, kGreetingBytes);
    absl::string_view number = said;
    int64_t bytes = 0;
    number.remove_prefix(sizeof(kGreeting) - 1);
    if (said.substr(0, sizeof(kGreeting) - 1) != kGreeting ||
        !absl::SimpleAtoi(number, &bytes) || bytes < 0 || bytes > kMaxBytes) {
      return Stranger(r, std::string(said));
    }
    counts.push_back(bytes);
    total += bytes;
  }
  std::string all(total, '\0');
  RETURN_IF_ERROR(group.AllGather(
      ConstTensorView(mine.data(), DType::kU8, {counts[group.rank()]}), counts,
      TensorView(all.data(), DType::kU8, {total})));
  std::vector<RankFacts> ranks;
  absl::string_view left = all;
  for (int r = 0; r < group.size(); ++r) {
    const absl::string_view text = left.substr(0, counts[r]);
    left.remove_prefix(counts[r]);
    std::optional<RankFacts> rank = Parse(text);
    if (!rank.has_value()) return Stranger(r, std::string(text));
    ranks.push_back(*std::move(rank));
  }
  return Compare(ranks);
}

absl::StatusOr<std::vector<Fact>> ProgramFacts(FileSystem* file_system) {
  ASSIGN_OR_RETURN(const auto program, file_system->Map("/proc/self/exe"));
  const XXH128_hash_t hash = XXH3_128bits(program->data(), program->size());
  return std::vector<Fact>{
      {"program's version", kVersion},
      {"program's file (hash)",
       absl::StrFormat("%016x%016x", hash.high64, hash.low64)},
      {"byte order",
       std::endian::native == std::endian::little ? "little" : "big"},
  };
}

}  // namespace caracal
