// Tables for terminals: columns aligned by what a terminal shows, which for
// UTF-8 is neither bytes nor code points.
#ifndef CARACAL_JOBS_CLIENT_TABLE_H_
#define CARACAL_JOBS_CLIENT_TABLE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "jobs/client/console.h"

namespace caracal {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;  // all titles empty: no title line
    Align align = Align::kLeft;
    bool shrinks = false;  // is cut where the table is too wide
  };
  struct Cell {
    Cell(std::string text) : text(std::move(text)) {}  // NOLINT: implicit
    Cell(const char* text) : text(text) {}             // NOLINT: implicit
    Cell(std::string text, Style style) : text(std::move(text)), style(style) {}

    std::string text;
    Style style = Style::kPlain;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Fewer cells than columns are made up with empty ones; more is a bug.
  void AddRow(std::vector<Cell> cells);
  // A blank line before the next row.
  void AddGap();

  // The lines, each with `indent` spaces before it and no spaces at its end.
  // Control characters of cells become spaces, those beyond ASCII U+FFFD.
  std::string ToString(const Console& console, int indent = 0) const;

 private:
  struct Row {
    std::vector<Cell> cells;
    bool gap_before = false;
  };

  std::vector<int> Widths(int available) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
  bool gap_ = false;
};

// `text` cut to at most `columns`, with an ellipsis where something is gone.
// Control characters become spaces.
std::string CutToColumns(absl::string_view text, int columns, bool unicode);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_TABLE_H_
