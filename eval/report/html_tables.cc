// Rows of cells; numbers align by tabular figures and equal decimals.
#include "eval/report/html_tables.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
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
  return Element("tr", row.kind == ModeKind::kStudent ? "student" : "", cells);
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

std::string DropTable(const std::vector<ComponentDrop>& drops) {
  if (drops.empty()) return "";
  const std::string head = ColumnHead("Removed") + ColumnHead("Loss rises by") +
                           ColumnHead("95% interval, paired");
  std::string body;
  for (const ComponentDrop& drop : drops) {
    const std::string name = drop.component == "la"    ? "linear part"
                             : drop.component == "swa" ? "window"
                                                       : drop.component;
    body +=
        Element("tr", "",
                absl::StrCat(
                    RowHead(name, ""),
                    Cell(Signed(drop.drop.mean, DecimalsFor(drop.drop))),
                    RangeCell(SignedRange(drop.drop, DecimalsFor(drop.drop)))));
  }
  return Scrollable(
      "What removing a component costs",
      Element(
          "table", "drops",
          absl::StrCat("<caption>What removing a component costs</caption>\n",
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
