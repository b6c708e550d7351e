#include "eval/report/html_probes.h"

#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/report/chart_probe.h"
#include "eval/report/html.h"
#include "eval/report/html_findings.h"
#include "eval/report/numbers.h"
#include "eval/report/probe_rows.h"
#include "eval/report/probe_status.h"

namespace caracal {
namespace {

constexpr int kDecimals = 2;
constexpr char kAbout[] =
    "A fact lies outside when neither window nor sinks reach it from where the "
    "answer begins: there only the linear part can know it. Right: of the "
    "answers that could stand there, the right one is the likeliest, token by "
    "token. Exact: it is the likeliest of all tokens, so that greedy decoding "
    "gives it. Facts inside show whether the student can do the task at all. "
    "Intervals: 95%, Wilson's, over prompts.";
constexpr char kLegend[] =
    "<li><span class=\"mark filled\"></span>fact outside window and sinks, "
    "with its 95% interval</li><li><span class=\"mark\"></span>fact "
    "inside</li><li><span class=\"mark dashed\"></span>guessing</li>";

std::string ColumnHead(absl::string_view text) {
  return absl::StrCat("<th scope=\"col\">", HtmlText(text), "</th>\n");
}

std::string ShareCells(const Interval& share) {
  if (!share.measured()) {
    return Element("td", "", "\u2013") + Element("td", "range", "");
  }
  return Element("td", "", HtmlText(Fixed(share.mean, kDecimals))) +
         Element("td", "range", HtmlText(Range(share, kDecimals)));
}

std::string MeanCell(const Interval& value, int decimals) {
  return Element(
      "td", "",
      value.measured() ? HtmlText(Fixed(value.mean, decimals)) : "\u2013");
}

std::string Line(const ProbeResult& probe, const ProbeGroup::Mode& mode) {
  const ProbeMode* result = probe.Find(mode.mode);
  std::string cells =
      absl::StrCat("<th scope=\"row\">", HtmlText(mode.name.label), "</th>\n");
  cells += ShareCells(ShareAmong(probe, result, ProbeFacts::kOutside));
  cells += MeanCell(ShareExact(probe, result, ProbeFacts::kOutside), kDecimals);
  cells += MeanCell(MeanNats(probe, result, ProbeFacts::kOutside), 3);
  cells += ShareCells(ShareAmong(probe, result, ProbeFacts::kInside));
  return Element("tr", mode.name.kind == ModeKind::kStudent ? "student" : "",
                 cells);
}

std::string Table(const ProbeGroup& group, const std::string& title) {
  std::string head = ColumnHead("");
  for (const char* name : {"Right, outside", "95% interval", "Exact",
                           "Nats a token", "Right, inside", "95% interval"}) {
    head += ColumnHead(name);
  }
  std::string body;
  for (const ProbeResult* probe : group.lengths) {
    std::string lines = absl::StrCat(
        "<tr><th class=\"of-group\" scope=\"rowgroup\" colspan=\"7\">",
        HtmlText(absl::StrCat(Count(probe->length), " tokens, ",
                              OutsideOf(*probe), " facts outside")),
        "</th></tr>\n");
    for (const ProbeGroup::Mode& mode : group.modes) {
      if (probe->Find(mode.mode) != nullptr) lines += Line(*probe, mode);
    }
    body += Element("tbody", "group", lines);
  }
  return Scrollable(
      title, Element("table", "probes",
                     absl::StrCat(Element("caption", "", HtmlText(title)),
                                  Element("thead", "", Element("tr", "", head)),
                                  body)));
}

}  // namespace

std::string ProbeSection(const AttributionResult& result) {
  std::string findings, charts, tables;
  for (const ProbeGroup& group : ProbeGroups(result)) {
    std::string title = group.probe;
    if (!title.empty()) title[0] = absl::ascii_toupper(title[0]);
    charts += Figure(title, AboutProbe(group), ProbeChart(group));
    tables += Table(group, title);
    for (const ProbeResult* probe : group.lengths) {
      findings += FindingItem(ProbeFinding(*probe));
    }
  }
  if (findings.empty()) return "";
  return Section(
      "Text probes that need the past",
      absl::StrCat(
          Element("ul", "findings", findings),
          Element("div", "charts two aligned", charts),
          Element("ul", "legend", kLegend),
          Element("details", "",
                  Element("summary", "", "Values by probe, length and mode") +
                      tables),
          Element("p", "note", HtmlText(kAbout))));
}

}  // namespace caracal
