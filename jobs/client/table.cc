#include "jobs/client/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "eval/report/text.h"

namespace caracal {
namespace {

constexpr int kBetween = 2;       // spaces between columns
constexpr int kLeastShrunk = 12;  // a column is never cut below this

// Nothing that ends the line, or that a terminal obeys.
std::string OneLine(absl::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
  }
  return Printable(out);
}

}  // namespace

std::string CutToColumns(absl::string_view whole, int columns, bool unicode) {
  const std::string line = OneLine(whole);
  absl::string_view text = line;
  if (TerminalColumns(text) <= columns) return line;
  const absl::string_view ellipsis = unicode ? "\xE2\x80\xA6" : "...";
  const int room = columns - TerminalColumns(ellipsis);
  if (room < 0) return "";
  std::string out;
  int used = 0;
  while (!text.empty()) {
    char32_t code_point;
    size_t bytes;
    DecodeUtf8(text, &code_point, &bytes);
    used += TerminalColumns(code_point);
    if (used > room) break;
    absl::StrAppend(&out, text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
  return absl::StrCat(out, ellipsis);
}

void Table::AddRow(std::vector<Cell> cells) {
  CARACAL_CHECK(cells.size() <= columns_.size())
      << cells.size() << " cells for " << columns_.size() << " columns";
  for (Cell& cell : cells) cell.text = OneLine(cell.text);
  rows_.push_back({std::move(cells), gap_});
  gap_ = false;
}

void Table::AddGap() { gap_ = !rows_.empty(); }

std::vector<int> Table::Widths(int available) const {
  std::vector<int> widths;
  int total = -kBetween;
  for (size_t i = 0; i < columns_.size(); ++i) {
    int width = TerminalColumns(columns_[i].title);
    for (const Row& row : rows_) {
      if (i < row.cells.size()) {
        width = std::max(width, TerminalColumns(row.cells[i].text));
      }
    }
    widths.push_back(width);
    total += width + kBetween;
  }
  for (size_t i = 0; i < columns_.size() && total > available; ++i) {
    if (!columns_[i].shrinks) continue;
    const int width = std::max(std::min(widths[i], kLeastShrunk),
                               widths[i] - (total - available));
    total -= widths[i] - width;
    widths[i] = width;
  }
  return widths;
}

std::string Table::ToString(const Console& console, int indent) const {
  // A file or pipe has no width: nothing is cut there.
  const int available =
      console.out_is_terminal ? console.columns() - indent : 1 << 20;
  const std::vector<int> widths = Widths(available);
  std::string out;
  const auto add_line = [&](const std::vector<Cell>& cells) {
    std::string line(indent, ' ');
    int pending = 0;  // spaces owed, dropped at the end of the line
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string text =
          CutToColumns(cells[i].text, widths[i], console.unicode);
      const int space = widths[i] - TerminalColumns(text);
      const bool right = columns_[i].align == Align::kRight;
      if (!text.empty()) {
        absl::StrAppend(&line, std::string(pending + (right ? space : 0), ' '),
                        Styled(text, cells[i].style, console.StyledOut()));
        pending = (right ? 0 : space) + kBetween;
      } else {
        pending += widths[i] + kBetween;
      }
    }
    absl::StrAppend(&out, line, "\n");
  };
  const bool titled =
      std::any_of(columns_.begin(), columns_.end(),
                  [](const Column& column) { return !column.title.empty(); });
  if (titled) {
    std::vector<Cell> titles;
    for (const Column& column : columns_) {
      titles.emplace_back(column.title, Style::kDim);
    }
    add_line(titles);
  }
  for (const Row& row : rows_) {
    if (row.gap_before) out += "\n";
    add_line(row.cells);
  }
  return out;
}

}  // namespace caracal
