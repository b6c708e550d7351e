#include "jobs/client/fact_list.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/utf8.h"
#include "eval/report/text.h"

namespace caracal {
namespace {

constexpr int kWidestText = 100;  // longer lines are hard to read
constexpr int kLeastText = 20;

size_t LineWidth(const Console& console, int indent) {
  const int columns = console.out_is_terminal ? console.columns() : 80;
  return std::max(kLeastText, std::min(columns, kWidestText) - indent);
}

}  // namespace

void FactList::Add(std::string name, std::string text) {
  if (text.empty()) return;
  facts_.emplace_back(std::move(name), std::move(text));
}

std::string FactList::ToString(const Console& console, int indent,
                               int name_columns) const {
  std::string out;
  for (const auto& [name, text] : facts_) {
    const int pad = std::max(1, name_columns - TerminalColumns(name));
    absl::StrAppend(&out, std::string(indent, ' '),
                    Styled(name, Style::kDim, console.StyledOut()),
                    std::string(pad, ' '));
    bool first = true;
    for (const std::string& line :
         WrapText(Printable(text), LineWidth(console, indent + name_columns))) {
      if (!first) out += std::string(indent + name_columns, ' ');
      absl::StrAppend(&out, line, "\n");
      first = false;
    }
  }
  return out;
}

std::string Paragraph(absl::string_view text, const Console& console,
                      int indent) {
  std::string out;
  for (const std::string& line :
       WrapText(Printable(text), LineWidth(console, indent))) {
    absl::StrAppend(&out, std::string(indent, ' '), line, "\n");
  }
  return out;
}

}  // namespace caracal
