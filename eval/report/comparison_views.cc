// The comparison as text and as a page: quantities down, runs across.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/utf8.h"
#include "eval/report/comparison.h"
#include "eval/report/html.h"
#include "eval/report/html_style.h"
#include "eval/report/numbers.h"
#include "eval/report/text.h"

namespace caracal {
namespace {

using Kind = ComparisonLine::Kind;

constexpr char kDash[] = "\u2013";
constexpr char kAbout[] =
    "u: loss of swa_only minus that of hybrid, what the linear part brings. "
    "u*: loss of teacher_swa minus that of teacher, what the past outside "
    "window and sinks is worth to the teacher. Intervals: 95%, bootstrapped "
    "over rows; differences are paired row by row, between runs too. Runs "
    "that differ in their seed alone share a column: the mean over seeds, its "
    "interval over rows and seeds. What seeds vary by comes from Student's t, "
    "which is wide for two of them; of a single run it is not known.";

// "Mean over runs/ssd-seed1, runs/ssd-seed2."; "" of a single run.
std::string Members(const ComparedGroup& column) {
  if (column.members.size() < 2) return "";
  return absl::StrCat(" Mean over ", absl::StrJoin(column.members, ", "), ".");
}

int DecimalsOf(const ComparisonLine& line, const Interval& value) {
  switch (line.kind) {
    case Kind::kRatio:
    case Kind::kShare:
      return 2;
    case Kind::kDifference:
      return std::min(DecimalsFor(value), 4);
    case Kind::kLoss:
    case Kind::kText:
      break;
  }
  return 3;
}

std::string Number(const ComparisonLine& line, const Interval& value) {
  if (!value.measured()) return kDash;
  const int decimals = DecimalsOf(line, value);
  return line.kind == Kind::kDifference ? Signed(value.mean, decimals)
                                        : Fixed(value.mean, decimals);
}

std::string Bounds(const ComparisonLine& line, const Interval& value) {
  if (!value.bounded()) return "";
  const int decimals = DecimalsOf(line, value);
  return line.kind == Kind::kDifference ? SignedRange(value, decimals)
                                        : Range(value, decimals);
}

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(TerminalColumns(text));
}

// The label of a line, and what a run has for it: "+0.107 [+0.061, +0.145]".
constexpr size_t kLabel = 24, kCell = 28;

std::string Right(absl::string_view text, size_t width) {
  const size_t have = Columns(text);
  return std::string(width > have ? width - have : 1, ' ') + std::string(text);
}

// The end of a name says what it is; the folder before it less so.
std::string CutName(const std::string& name, size_t width) {
  const std::string clean = Printable(name);
  if (Columns(clean) <= width) return clean;
  std::string cut;
  for (size_t i = clean.size(); i-- > 0;) {
    const bool begins = (static_cast<unsigned char>(clean[i]) & 0xC0) != 0x80;
    if (!begins) continue;
    const std::string tail = clean.substr(i);
    if (Columns(tail) + 1 > width) break;
    cut = tail;
  }
  return "\u2026" + cut;
}

void WriteColumns(const Comparison& comparison, size_t first, size_t last,
                  std::string* out) {
  std::string line(kLabel, ' ');
  for (size_t i = first; i < last; ++i) {
    line += Right(CutName(comparison.columns[i].name, kCell - 2), kCell);
  }
  absl::StrAppend(out, line, "\n");
  const std::string* group = nullptr;
  for (const ComparisonLine& l : comparison.lines) {
    if (group == nullptr || *group != l.group) {
      absl::StrAppend(out, l.group, "\n");
      group = &l.group;
    }
    const std::string label = "  " + Printable(l.label);
    line =
        label +
        std::string(kLabel > Columns(label) ? kLabel - Columns(label) : 1, ' ');
    for (size_t i = first; i < last; ++i) {
      line += Right(l.kind == Kind::kText
                        ? Printable(l.texts[i])
                        : absl::StrCat(Number(l, l.values[i]),
                                       Right(Bounds(l, l.values[i]), 19)),
                    kCell);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(out, line, "\n");
  }
}

// Of the runs whose dot is not what they finished as, or who have none.
std::string AboutDots(const Comparison& comparison) {
  std::string text;
  for (size_t i = 0; i < comparison.columns.size(); ++i) {
    const ComparedGroup& column = comparison.columns[i];
    if (column.finished_as == "hybrid") continue;
    const RunDots& dots = comparison.dots[i];
    const bool ring =
        column.finished_as == "swa_only" && !std::isfinite(dots.hybrid);
    absl::StrAppend(
        &text, " ", dots.name, " finished as ", column.finished_as,
        std::isfinite(column.finished_loss)
            ? absl::StrCat(", loss ", Fixed(column.finished_loss, 3))
            : "",
        ring ? ": that is its ring."
             : ": its dot is the same model run as a hybrid.");
  }
  return text;
}

std::string Picture(const Comparison& comparison) {
  const std::string chart = RunsChart(comparison.dots, comparison.references);
  if (chart.empty()) return "";
  return Scrollable(
      "Loss with and without the linear part",
      Element("div", "runs-chart", chart) +
          Element(
              "p", "note",
              HtmlText(absl::StrCat(
                  "Dot: the hybrid. Ring: the same without its linear part. u "
                  "is the way between them, in nats per token; drawn warm "
                  "where the linear part does harm.",
                  AboutDots(comparison)))));
}

std::string RunTable(const Comparison& comparison) {
  std::string head = "<th scope=\"col\"></th>\n";
  for (const ComparedGroup& column : comparison.columns) {
    absl::StrAppend(&head, "<th scope=\"col\">", HtmlName(column.name),
                    "</th>\n");
  }
  std::string body, group_html;
  const std::string* group = nullptr;
  const auto close = [&] {
    if (!group_html.empty()) body += Element("tbody", "group", group_html);
    group_html.clear();
  };
  for (const ComparisonLine& line : comparison.lines) {
    if (group == nullptr || *group != line.group) {
      close();
      group = &line.group;
      absl::StrAppend(&group_html,
                      "<tr><th class=\"of-group\" scope=\"rowgroup\""
                      " colspan=\"",
                      comparison.columns.size() + 1, "\">",
                      HtmlText(line.group), "</th></tr>\n");
    }
    std::string cells =
        absl::StrCat("<th scope=\"row\">", HtmlText(line.label), "</th>\n");
    for (size_t i = 0; i < comparison.columns.size(); ++i) {
      if (line.kind == Kind::kText) {
        cells += Element("td", "", HtmlText(line.texts[i]));
        continue;
      }
      const std::string bounds = Bounds(line, line.values[i]);
      cells += Element(
          "td", "",
          absl::StrCat(
              HtmlText(Number(line, line.values[i])),
              bounds.empty()
                  ? ""
                  : absl::StrCat("<small>", HtmlText(bounds), "</small>")));
    }
    group_html += Element(
        "tr",
        line.label == "as finished" || line.label == "verdict" ? "student" : "",
        cells);
  }
  close();
  return Scrollable(
      "Runs side by side",
      Element(
          "table", "runs",
          absl::StrCat("<caption>Runs side by side</caption>\n",
                       Element("thead", "", Element("tr", "", head)), body)));
}

}  // namespace

std::string ComparisonText(const Comparison& comparison, size_t width) {
  const size_t runs = comparison.columns.size();
  const size_t fit =
      std::max<size_t>(1, width > kLabel ? (width - kLabel) / kCell : 1);
  std::string out;
  for (const std::string& line :
       WrapText(Printable(comparison.about), std::max<size_t>(width, 20))) {
    absl::StrAppend(&out, line, "\n");
  }
  out += "\n";
  for (size_t first = 0; first < runs; first += fit) {
    WriteColumns(comparison, first, std::min(first + fit, runs), &out);
    out += "\n";
  }
  for (size_t i = 0; i < runs; ++i) {
    for (const std::string& line :
         WrapText(absl::StrCat(Printable(comparison.columns[i].name), ": ",
                               comparison.columns[i].verdict, ".",
                               Printable(Members(comparison.columns[i]))),
                  std::max<size_t>(width, 20))) {
      absl::StrAppend(&out, line, "\n");
    }
  }
  return out;
}

std::string ComparisonHtml(const Comparison& comparison) {
  std::string verdicts;
  for (const ComparedGroup& column : comparison.columns) {
    const std::string members = Members(column);
    // Names of runs keep their hyphens.
    verdicts +=
        Fact(column.name, absl::StrCat(TypographicMinus(column.verdict),
                                       members.empty() ? "" : ".", members));
  }
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
      "'none'; style-src 'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"/>\n"
      "<meta name=\"color-scheme\" content=\"light dark\"/>\n",
      Element("title", "", "Caracal: runs compared"),
      Element("style", "", HtmlReportStyle()), "</head>\n<body>\n<main>\n",
      Element("header", "",
              absl::StrCat(Element("p", "eyebrow", "Comparison"),
                           Element("h1", "", "Runs compared"),
                           Element("p", "sub", EscapeHtml(comparison.about)))),
      Section("Is the linear part used?", Element("dl", "facts", verdicts)),
      Section("Loss with and without the linear part", Picture(comparison)),
      Section("Losses and use",
              absl::StrCat(RunTable(comparison),
                           Element("p", "note", HtmlText(kAbout)))),
      Element("footer", "", "Made by Caracal."), "</main>\n</body>\n</html>\n");
}

}  // namespace caracal
