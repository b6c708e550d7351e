#include "eval/report/terminal_probes.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"
#include "eval/report/probe_rows.h"
#include "eval/report/probe_status.h"

namespace caracal {
namespace {

// "0.91 [0.62, 0.98]" of each length.
constexpr size_t kLabel = 19, kCell = 19;
constexpr int kDecimals = 2;

std::string Cell(const Interval& share) {
  if (!share.measured()) return "\u2013";
  return absl::StrCat(Fixed(share.mean, kDecimals), " ",
                      Range(share, kDecimals));
}

void WriteTable(TerminalWriter& out, const ProbeGroup& group, size_t first,
                size_t last) {
  const auto line =
      [&](const std::string& label, bool strong,
          const std::function<std::string(const ProbeResult&)>& cell) {
        std::string text = absl::StrCat("  ", Left(label, kLabel));
        for (size_t i = first; i < last; ++i) {
          text += Right(cell(*group.lengths[i]), kCell);
        }
        out.Line(strong ? out.Style(kBold, text) : text);
      };
  line(Printable(group.probe), false, [](const ProbeResult& probe) {
    return absl::StrCat(Count(probe.length), " tokens");
  });
  line("facts outside", false, OutsideOf);
  for (const ProbeGroup::Mode& mode : group.modes) {
    line(Printable(mode.name.label), mode.name.kind == ModeKind::kStudent,
         [&](const ProbeResult& probe) {
           return Cell(
               ShareAmong(probe, probe.Find(mode.mode), ProbeFacts::kOutside));
         });
  }
  const auto inside = [](const ProbeResult& probe) {
    return ShareAmong(probe, probe.Find("hybrid"), ProbeFacts::kInside);
  };
  if (std::any_of(
          group.lengths.begin() + first, group.lengths.begin() + last,
          [&](const ProbeResult* p) { return inside(*p).measured(); })) {
    line("hybrid, inside", false,
         [&](const ProbeResult& probe) { return Cell(inside(probe)); });
  }
}

}  // namespace

void WriteProbes(TerminalWriter& out, const AttributionResult& result) {
  const std::vector<ProbeGroup> groups = ProbeGroups(result);
  if (groups.empty()) return;
  out.Paragraph(
      "  ", "text probes: share right of the facts outside window and sinks",
      kDim);
  const size_t fit = std::max<size_t>(
      1, out.width() > kLabel + 2 ? (out.width() - kLabel - 2) / kCell : 1);
  for (const ProbeGroup& group : groups) {
    for (size_t i = 0; i < group.lengths.size(); i += fit) {
      out.Rule(std::min(out.width(), 2 + kLabel + fit * kCell));
      WriteTable(out, group, i, std::min(i + fit, group.lengths.size()));
    }
  }
  out.Line();
  for (const ProbeGroup& group : groups) {
    for (const ProbeResult* probe : group.lengths) {
      Finding finding = ProbeFinding(*probe);
      finding.text = Printable(finding.text);
      out.Write(finding);
    }
  }
  out.Line();
}

}  // namespace caracal
