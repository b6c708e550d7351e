// Rows of cells; numbers align by tabular figures and equal decimals.
#include "eval/report/html_tables.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "eval/report/component_rows.h"
#include "eval/report/html.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

std::string ColumnHead(absl::string_view text) {
  return absl::StrCat("<th scope=\"col\">", HtmlText(text), "</th>\n");
}

std::string RowHead(absl::string_view text, absl::string_view about) {
  return absl::StrCat(
      "<th scope=\"row\">", HtmlText(text),
      about.empty() ? "" : absl::StrCat("<small>", HtmlText(about), "</small>"),
      "</th>\n");
}

std::string Cell(absl::string_view text) {
  return Element("td", "", HtmlText(text));
}

std::string RangeCell(absl::string_view text) {
  return Element("td", "range", HtmlText(text));
}

std::string ModeLine(const ModeRow& row) {
  std::string cells = RowHead(row.label, row.meaning);
  absl::StrAppend(&cells, Cell(Fixed(row.result->loss, 3)),
                  RangeCell(Range(row.result->interval, 3)));
  if (row.kind == ModeKind::kTeacher) {
    absl::StrAppend(&cells, Cell("\u2013"), RangeCell(""));
  } else {
    absl::StrAppend(&cells, Cell(Signed(row.to_teacher.mean, 3)),
                    RangeCell(SignedRange(row.to_teacher, 3)));
  }
  absl::StrAppend(&cells, Cell(Fixed(row.result->second_half, 3)));
  return Element("tr", row.finished ? "student" : "", cells);
}

}  // namespace

std::string ModeTable(const std::vector<ModeRow>& rows) {
  if (rows.empty()) return "";
  std::string head;
  for (const char* name : {"Mode", "Loss", "95% interval", "To teacher",
                           "95% interval, paired", "Second half of rows"}) {
    head += ColumnHead(name);
  }
  std::string body, group;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (StartsGroup(rows, i) && !group.empty()) {
      body += Element("tbody", "group", group);
      group.clear();
    }
    group += ModeLine(rows[i]);
  }
  body += Element("tbody", "group", group);
  return Scrollable(
      "Loss by mode",
      Element(
          "table", "",
          absl::StrCat("<caption>Losses in nats per token</caption>\n",
                       Element("thead", "", Element("tr", "", head)), body)));
}

std::string ComponentTable(const AttributionResult& result) {
  if (result.drop.empty() && result.shapley.empty()) return "";
  const bool split = !result.shapley.empty();
  std::string head = ColumnHead("Component") + ColumnHead("Removing it costs") +
                     ColumnHead("95% interval, paired");
  if (split) {
    head += ColumnHead("Shapley value") + ColumnHead("95% interval, paired") +
            ColumnHead("Share");
  }
  std::string body;
  for (const ComponentRow& row : ComponentRows(result)) {
    std::string cells = RowHead(row.name, "");
    for (const Interval* value : {&row.drop, &row.shapley}) {
      if (value == &row.shapley && !split) continue;
      const int decimals = DecimalsFor(*value);
      cells += value->measured() ? Cell(Signed(value->mean, decimals)) +
                                       RangeCell(SignedRange(*value, decimals))
                                 : Cell("\u2013") + RangeCell("");
    }
    if (split) {
      cells += Cell(std::isfinite(row.share) ? Percent(row.share) : "\u2013");
    }
    body += Element("tr", "", cells);
  }
  return Scrollable(
      "What each component contributes",
      Element(
          "table", "components",
          absl::StrCat("<caption>What each component contributes</caption>\n",
                       Element("thead", "", Element("tr", "", head)),
                       Element("tbody", "", body))));
}

std::string HeadTable(const std::string& title, const HeadGrid& grid,
                      bool with_sign) {
  if (grid.empty()) return "";
  std::string head = ColumnHead("Layer");
  for (size_t i = 0; i < grid[0].size(); ++i) {
    head += ColumnHead(absl::StrCat("head ", i));
  }
  std::string body;
  for (size_t layer = 0; layer < grid.size(); ++layer) {
    std::string cells = RowHead(absl::StrCat(layer), "");
    for (double value : grid[layer]) {
      cells += Cell(with_sign ? Signed(value, 3) : Fixed(value, 3));
    }
    body += Element("tr", "", cells);
  }
  return Scrollable(
      title, Element("table", "heads",
                     absl::StrCat(Element("caption", "", HtmlText(title)),
                                  Element("thead", "", Element("tr", "", head)),
                                  Element("tbody", "", body))));
}

}  // namespace caracal
