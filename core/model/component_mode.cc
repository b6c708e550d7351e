#include "core/model/component_mode.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "kernels/common/check.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {
namespace {

struct Row {
  ComponentMode mode;
  const char* name;
  bool adapters;
  bool full_softmax;
  uint8_t terms;
};

constexpr Row kModes[] = {
    {ComponentMode::kHybrid, "hybrid", true, false, kernels::kHybridTerms},
    {ComponentMode::kSwaOnly, "swa_only", true, false, kernels::kSwaOnlyTerms},
    {ComponentMode::kLaOnly, "la_only", true, false, kernels::kLaOnlyTerms},
    {ComponentMode::kLaPast, "la_past", true, false, kernels::kLaPastTerms},
    {ComponentMode::kSinksOnly, "sinks_only", true, false,
     kernels::kSinksOnlyTerms},
    {ComponentMode::kNone, "none", true, false, kernels::kNoTerms},
    {ComponentMode::kSoftmax, "softmax", true, true, 0},
    {ComponentMode::kTeacher, "teacher", false, true, 0},
    {ComponentMode::kTeacherSwa, "teacher_swa", false, false,
     kernels::kSwaOnlyTerms},
};

const Row& RowOf(ComponentMode mode) {
  const Row& row = kModes[static_cast<int>(mode)];
  CARACAL_CHECK(row.mode == mode) << "table out of order";
  return row;
}

}  // namespace

absl::string_view NameOf(ComponentMode mode) { return RowOf(mode).name; }
bool AdaptersOn(ComponentMode mode) { return RowOf(mode).adapters; }
bool IsFullSoftmax(ComponentMode mode) { return RowOf(mode).full_softmax; }

uint8_t TermsOf(ComponentMode mode) {
  CARACAL_CHECK(!IsFullSoftmax(mode)) << NameOf(mode);
  return RowOf(mode).terms;
}

absl::StatusOr<ComponentMode> ComponentModeFromName(absl::string_view name) {
  std::string known;
  for (const Row& row : kModes) {
    if (name == row.name) return row.mode;
    absl::StrAppend(&known, known.empty() ? "" : ", ", row.name);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown component mode '", name, "'; there are ", known));
}

}  // namespace caracal
