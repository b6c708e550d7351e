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

ModeRow Row(const ModeResult& mode, const AttributionResult& result) {
  const auto known =
      std::find_if(std::begin(kModes), std::end(kModes),
                   [&](const KnownMode& k) { return mode.mode == k.mode; });
  ModeRow row{&mode, ModeKind::kComponent, mode.mode, "",
              LossDifference(&mode, result.Find("teacher"))};
  if (known != std::end(kModes)) {
    row.kind = known->kind;
    row.meaning = known->meaning;
  }
  // Too long for a label.
  if (absl::StartsWith(mode.mode, "at ")) {
    row.label = kModeAtLabel;
    row.meaning = absl::StrCat("hybrid, but ", mode.mode.substr(3));
  }
  return row;
}

ModeRow BaselineRow(const ModeResult& mode, int64_t sinks,
                    const AttributionResult& result) {
  ModeRow row = Row(mode, result);
  row.kind = ModeKind::kBaseline;
  row.label = absl::StrCat("teacher_swa S=", sinks);
  row.meaning = sinks == 0 ? "untrained teacher, window only"
                           : absl::StrCat("untrained teacher, window and ",
                                          sinks, " sinks");
  return row;
}

size_t Rank(const ModeRow& row) {
  const auto known = std::find_if(
      std::begin(kModes), std::end(kModes),
      [&](const KnownMode& k) { return row.result->mode == k.mode; });
  return static_cast<size_t>(known - std::begin(kModes));
}

}  // namespace

std::vector<ModeRow> ModeRows(const AttributionResult& result) {
  std::vector<ModeRow> rows;
  for (const ModeResult& mode : result.modes) {
    if (mode.mode != "teacher_swa") rows.push_back(Row(mode, result));
  }
  std::stable_sort(
      rows.begin(), rows.end(),
      [](const ModeRow& a, const ModeRow& b) { return Rank(a) < Rank(b); });
  const int64_t own_sinks = result.settings.sinks;
  std::map<int64_t, const ModeResult*> baselines;  // by sinks, rising
  if (const ModeResult* own = result.Find("teacher_swa"); own != nullptr) {
    baselines[own_sinks] = own;
  }
  for (const ModeResult& mode : result.baselines) {
    absl::string_view sinks = mode.mode;
    int64_t number;
    if (absl::ConsumePrefix(&sinks, "teacher_swa_s") &&
        absl::SimpleAtoi(sinks, &number)) {
      baselines[number] = &mode;
    }
  }
  for (const auto& [sinks, mode] : baselines) {
    rows.push_back(BaselineRow(*mode, sinks, result));
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
