#include "jobs/spec/problem.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace caracal {
namespace {

// Whether `inner` is `field` itself, or in it.
bool IsIn(absl::string_view inner, absl::string_view field) {
  return absl::ConsumePrefix(&inner, field) &&
         (inner.empty() || inner[0] == '.' || inner[0] == '[');
}

// Whether the field itself or something in it was written.
bool IsWritten(const FieldLocations& locations, absl::string_view field) {
  const auto found = locations.lower_bound(std::string(field));
  return found != locations.end() && IsIn(found->first, field);
}

}  // namespace

std::string Problem::ToString() const {
  std::string out;
  if (!where.empty()) absl::StrAppend(&out, where, ": ");
  if (!field.empty()) absl::StrAppend(&out, field, ": ");
  return out + message;
}

std::string LocationIn(absl::string_view file, int line, int column) {
  return line > 0 ? absl::StrCat(file, ":", line, ":", column)
                  : std::string(file);
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

std::string FieldAsWritten(const FieldLocations& locations,
                           absl::string_view field) {
  const struct {
    absl::string_view of_stage;
    absl::string_view shorthand;
  } kShorthands[] = {{"].finetune.curriculum", "curriculum"},
                     {"].finetune.schedule", "schedule"},
                     {"].transfer.schedule", "schedule"},
                     {"].finetune.steps", "budget.finetune_steps"},
                     {"].transfer.steps", "budget.transfer_steps"}};
  for (const auto& [of_stage, shorthand] : kShorthands) {
    const size_t begin = field.find(of_stage);
    if (!absl::StartsWith(field, "stages[") ||
        begin == absl::string_view::npos) {
      continue;
    }
    const size_t end = begin + of_stage.size();
    if (IsWritten(locations, field.substr(0, end)) ||
        !IsWritten(locations, shorthand)) {
      break;
    }
    return absl::StrCat(shorthand, field.substr(end));
  }
  return std::string(field);
}

bool IsAboutSame(const std::vector<Problem>& problems,
                 absl::string_view field) {
  return std::any_of(
      problems.begin(), problems.end(), [field](const Problem& problem) {
        return IsIn(problem.field, field) || IsIn(field, problem.field);
      });
}

void AddProblems(std::vector<Problem> found, std::vector<Problem>* problems) {
  const std::vector<Problem> before = *problems;
  for (Problem& problem : found) {
    if (IsAboutSame(before, problem.field)) continue;
    problems->push_back(std::move(problem));
  }
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
