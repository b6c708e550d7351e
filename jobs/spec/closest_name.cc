#include "jobs/spec/closest_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace caracal {
namespace {

// Long enough for any name; bounds the quadratic work on junk.
constexpr size_t kLongest = 64;

// Optimal string alignment distance.
int EditDistance(absl::string_view a, absl::string_view b) {
  const size_t width = b.size() + 1;
  std::vector<int> d((a.size() + 1) * width);
  for (size_t i = 0; i <= a.size(); ++i) d[i * width] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      int& best = d[i * width + j];
      best = std::min({d[(i - 1) * width + j] + 1, d[i * width + j - 1] + 1,
                       d[(i - 1) * width + j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        best = std::min(best, d[(i - 2) * width + j - 2] + 1);
      }
    }
  }
  return d.back();
}

}  // namespace

std::string ClosestName(absl::string_view typed,
                        const std::vector<std::string>& names) {
  if (typed.size() > kLongest) return "";
  const std::string lower = absl::AsciiStrToLower(typed);
  int best = static_cast<int>(typed.size() + 2) / 3 + 1;
  std::string closest;
  for (const std::string& name : names) {
    const int distance = EditDistance(lower, absl::AsciiStrToLower(name));
    if (distance < best) {
      best = distance;
      closest = name;
    }
  }
  return closest;
}

std::string SuggestName(absl::string_view typed,
                        const std::vector<std::string>& names) {
  const std::string closest = ClosestName(typed, names);
  if (!closest.empty()) return absl::StrCat("did you mean '", closest, "'?");
  return absl::StrCat("expected one of ", absl::StrJoin(names, ", "));
}

std::string SuggestField(absl::string_view typed,
                         const std::vector<std::string>& names) {
  std::string text = SuggestName(typed, names);
  if (!ClosestName(typed, names).empty()) {
    absl::StrAppend(&text, " accepted: ", absl::StrJoin(names, ", "));
  }
  return text;
}

std::string SuggestChoice(absl::string_view typed,
                          const std::vector<std::string>& choices) {
  std::string text =
      absl::StrCat("expected one of ", absl::StrJoin(choices, ", "));
  const std::string closest = ClosestName(typed, choices);
  if (!closest.empty()) {
    absl::StrAppend(&text, "; did you mean '", closest, "'?");
  }
  return text;
}

}  // namespace caracal
