// A block of rows a length, all on one scale.
#include "eval/report/chart_probe.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/scale.h"
#include "eval/report/svg.h"

namespace caracal {
namespace {

constexpr double kWidth = 480;
constexpr double kLeft = 128, kRight = kWidth - 56;
constexpr double kTop = 0, kRowHeight = 24, kHeading = 42, kFooter = 42;
constexpr int kDecimals = 2;

const char* ClassOf(ModeKind kind) {
  switch (kind) {
    case ModeKind::kTeacher:
      return "teacher";
    case ModeKind::kStudent:
      return "student";
    case ModeKind::kComponent:
      return "component";
    case ModeKind::kBaseline:
      break;
  }
  return "baseline";
}

// The modes that this length has.
std::vector<const ProbeGroup::Mode*> RowsOf(const ProbeGroup& group,
                                            const ProbeResult& probe) {
  std::vector<const ProbeGroup::Mode*> rows;
  for (const ProbeGroup::Mode& mode : group.modes) {
    if (probe.Find(mode.mode) != nullptr) rows.push_back(&mode);
  }
  return rows;
}

void DrawRow(Svg& svg, const Scale& x, double middle,
             const ProbeGroup::Mode& mode, const ProbeResult& probe) {
  const ProbeMode* result = probe.Find(mode.mode);
  const Interval outside = ShareAmong(probe, result, ProbeFacts::kOutside);
  const Interval inside = ShareAmong(probe, result, ProbeFacts::kInside);
  const bool student = mode.name.kind == ModeKind::kStudent;
  svg.Text(kLeft - 12, middle + 4, mode.name.label,
           student ? "label strong" : "label", Anchor::kEnd);
  if (outside.bounded()) {
    svg.Line(x.At(outside.low), middle, x.At(outside.high), middle, "whisker");
  }
  if (inside.measured()) {
    svg.Circle(x.At(inside.mean), middle, 6.5, "ring",
               absl::StrCat(mode.name.label,
                            ", facts inside: ", Fixed(inside.mean, kDecimals),
                            " ", Range(inside, kDecimals)));
  }
  if (!outside.measured()) return;
  svg.Circle(x.At(outside.mean), middle, 4.5,
             absl::StrCat("dot ", ClassOf(mode.name.kind)),
             absl::StrCat(mode.name.label,
                          ", facts outside: ", Fixed(outside.mean, kDecimals),
                          " ", Range(outside, kDecimals)));
  svg.Text(kWidth, middle + 4, Fixed(outside.mean, kDecimals),
           student ? "value strong" : "value", Anchor::kEnd);
}

}  // namespace

std::string ProbeChart(const ProbeGroup& group) {
  double bottom = kTop;
  std::string description =
      absl::StrCat(group.probe, ", share right of the facts outside:");
  for (const ProbeResult* probe : group.lengths) {
    const auto rows = RowsOf(group, *probe);
    bottom += kHeading + kRowHeight * static_cast<double>(rows.size());
    absl::StrAppend(&description, " ", probe->length, " tokens:");
    for (const ProbeGroup::Mode* mode : rows) {
      const Interval share =
          ShareAmong(*probe, probe->Find(mode->mode), ProbeFacts::kOutside);
      absl::StrAppend(&description, " ", mode->name.label, " ",
                      Fixed(share.mean, kDecimals), ";");
    }
  }
  if (bottom == kTop) return "";
  const Scale x = Scale::Linear(0, 1, kLeft, kRight);
  Svg svg(kWidth, bottom + kFooter, description);
  DrawVerticalGrid(svg, x, kTop, bottom, 4);
  svg.Text(kRight, bottom + kFooter - 4, "share right", "axis-name",
           Anchor::kEnd);
  const double chance = group.lengths[0]->chance;
  svg.Line(x.At(chance), kTop, x.At(chance), bottom, "reference");
  double top = kTop;
  for (const ProbeResult* probe : group.lengths) {
    svg.Text(0, top + 28, absl::StrCat(Count(probe->length), " tokens"),
             "strong");
    svg.Text(kWidth, top + 28, absl::StrCat(OutsideOf(*probe), " outside"),
             "tick", Anchor::kEnd);
    top += kHeading;
    for (const ProbeGroup::Mode* mode : RowsOf(group, *probe)) {
      DrawRow(svg, x, top + kRowHeight / 2, *mode, *probe);
      top += kRowHeight;
    }
  }
  return std::move(svg).Finish();
}

}  // namespace caracal
