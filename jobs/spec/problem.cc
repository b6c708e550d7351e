#include "jobs/spec/problem.h"

#include "absl/strings/str_cat.h"

namespace caracal {

std::string Problem::ToString() const {
  std::string out;
  if (!where.empty()) absl::StrAppend(&out, where, ": ");
  if (!field.empty()) absl::StrAppend(&out, field, ": ");
  return out + message;
}

std::string LocationOf(const FieldLocations& locations,
                       absl::string_view field) {
  while (!field.empty()) {
    const auto found = locations.find(std::string(field));
    if (found != locations.end()) return found->second;
    const size_t cut = field.find_last_of(".[");
    if (cut == absl::string_view::npos) break;
    field = field.substr(0, cut);
  }
  return "";
}

absl::Status ProblemsToStatus(const std::vector<Problem>& problems,
                              absl::string_view subject) {
  if (problems.empty()) return absl::OkStatus();
  if (problems.size() == 1) {
    const std::string text = problems[0].ToString();
    return absl::InvalidArgumentError(
        problems[0].where.empty() ? absl::StrCat(subject, ": ", text) : text);
  }
  std::string text = absl::StrCat(subject, ": ", problems.size(), " problems:");
  for (const Problem& problem : problems) {
    absl::StrAppend(&text, "\n  ", problem.ToString());
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace caracal
