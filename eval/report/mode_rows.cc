// A table of the known modes; each row of the reports comes from one entry.
#include "eval/report/mode_rows.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "eval/attribution/result_intervals.h"
#include "eval/report/finished.h"

namespace caracal {
namespace {

struct KnownMode {
  const char* mode;
  ModeKind kind;
  const char* meaning;
};

constexpr KnownMode kModes[] = {
    {"teacher", ModeKind::kTeacher, "the original softmax attention"},
    {"hybrid", ModeKind::kStudent, "the student: window and linear part"},
    {"softmax", ModeKind::kComponent, "adapters on, full softmax attention"},
    {"swa_only", ModeKind::kComponent, "linear part removed"},
    {"la_only", ModeKind::kComponent,
     "linear attention alone, over the whole past"},
    {"la_past", ModeKind::kComponent, "linear part alone, window removed"},
    {"sinks_only", ModeKind::kComponent, "nothing but the sinks"},
    {"none", ModeKind::kComponent, "attention output set to zero"},
};

// The number of sinks of an untrained teacher with a window; -1: no such mode.
int64_t BaselineSinks(absl::string_view mode, int64_t own_sinks) {
  if (mode == "teacher_swa") return own_sinks;
  int64_t sinks;
  if (absl::ConsumePrefix(&mode, "teacher_swa_s") &&
      absl::SimpleAtoi(mode, &sinks) && sinks >= 0) {
    return sinks;
  }
  return -1;
}

ModeRow Row(const ModeResult& mode, const AttributionResult& result) {
  ModeName name = NameMode(mode.mode, result.settings.sinks);
  const bool finished = mode.mode == FinishedMode(result.settings);
  if (finished && !FinishedAsHybrid(result.settings)) {
    absl::StrAppend(&name.meaning, "; the run finished as this");
  }
  return {&mode,
          name.kind,
          name.label,
          name.meaning,
          LossDifference(&mode, result.Find("teacher")),
          finished};
}

}  // namespace

ModeName NameMode(absl::string_view mode, int64_t own_sinks) {
  constexpr auto kUnknown = static_cast<int64_t>(std::size(kModes));
  if (const int64_t sinks = BaselineSinks(mode, own_sinks); sinks >= 0) {
    return {ModeKind::kBaseline, absl::StrCat("teacher_swa S=", sinks),
            sinks == 0 ? "untrained teacher, window only"
                       : absl::StrCat("untrained teacher, window and ", sinks,
                                      " sinks"),
            kUnknown + 1 + std::min(sinks, int64_t{1} << 32)};
  }
  for (int64_t i = 0; i < kUnknown; ++i) {
    if (mode == kModes[i].mode) {
      return {kModes[i].kind, kModes[i].mode, kModes[i].meaning, i};
    }
  }
  // Too long for a label.
  if (absl::StartsWith(mode, "at ")) {
    return {ModeKind::kComponent, kModeAtLabel,
            absl::StrCat("hybrid, but ", mode.substr(3)), kUnknown};
  }
  return {ModeKind::kComponent, std::string(mode), "", kUnknown};
}

std::vector<ModeRow> ModeRows(const AttributionResult& result) {
  const int64_t own_sinks = result.settings.sinks;
  std::vector<ModeRow> rows;
  std::map<int64_t, const ModeResult*> baselines;  // by sinks, rising
  for (const ModeResult& mode : result.modes) {
    if (mode.mode != "teacher_swa") {
      rows.push_back(Row(mode, result));
    } else {
      baselines[own_sinks] = &mode;
    }
  }
  const auto rank = [&](const ModeRow& row) {
    return NameMode(row.result->mode, own_sinks).rank;
  };
  std::stable_sort(
      rows.begin(), rows.end(),
      [&](const ModeRow& a, const ModeRow& b) { return rank(a) < rank(b); });
  for (const ModeResult& mode : result.baselines) {
    const int64_t sinks = BaselineSinks(mode.mode, own_sinks);
    if (sinks >= 0) baselines[sinks] = &mode;
  }
  for (const auto& [sinks, mode] : baselines) {
    rows.push_back(Row(*mode, result));
  }
  return rows;
}

bool StartsGroup(const std::vector<ModeRow>& rows, size_t i) {
  if (i == 0) return true;
  const auto group = [](ModeKind kind) {
    return kind == ModeKind::kTeacher ? ModeKind::kStudent : kind;
  };
  return group(rows[i].kind) != group(rows[i - 1].kind);
}

}  // namespace caracal
