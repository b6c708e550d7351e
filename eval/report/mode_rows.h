// The modes of a result in the order and words in which reports show them.
#ifndef CARACAL_EVAL_REPORT_MODE_ROWS_H_
#define CARACAL_EVAL_REPORT_MODE_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/attribution/result.h"
#include "eval/statistics/interval.h"

namespace caracal {

enum class ModeKind {
  kTeacher,
  kStudent,    // hybrid
  kComponent,  // the student with parts taken out
  kBaseline,   // the untrained teacher with a window
};

// The row of a mode that --mode-at made; its meaning says of what.
inline constexpr char kModeAtLabel[] = "mode_at";

// What reports call a mode of a student with so many sinks.
struct ModeName {
  ModeKind kind = ModeKind::kComponent;
  std::string label;    // "hybrid", "teacher_swa S=4"
  std::string meaning;  // "window only, linear part removed"
  // Where it stands: of the modes of a report the lower comes first.
  int64_t rank = 0;
};
// Of modes unknown here the label is the mode itself, and nothing is meant.
ModeName NameMode(absl::string_view mode, int64_t own_sinks);

struct ModeRow {
  const ModeResult* result;  // in the AttributionResult given
  ModeKind kind;
  std::string label;    // "hybrid", "teacher_swa S=4"
  std::string meaning;  // "window only, linear part removed"
  Interval to_teacher;  // loss minus the teacher's, paired over rows
  // What the run finished as: for reports to stress. Its meaning says so of
  // another mode than hybrid.
  bool finished = false;
};

// Teacher, hybrid, components, baselines by rising number of sinks; modes
// unknown here come after the components. `teacher_swa` is left out where a
// baseline has the same sinks. Holds pointers into `result`.
std::vector<ModeRow> ModeRows(const AttributionResult& result);

// Whether rows[i] begins a new group: teacher and student, components,
// baselines.
bool StartsGroup(const std::vector<ModeRow>& rows, size_t i);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_MODE_ROWS_H_
