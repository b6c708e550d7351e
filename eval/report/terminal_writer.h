// What the parts of the terminal report share: lines, styles, columns.
#ifndef CARACAL_EVAL_REPORT_TERMINAL_WRITER_H_
#define CARACAL_EVAL_REPORT_TERMINAL_WRITER_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/utf8.h"
#include "eval/report/finding.h"
#include "eval/report/terminal_report.h"
#include "eval/report/text.h"

namespace caracal {

inline size_t Columns(absl::string_view text) {
  return static_cast<size_t>(TerminalColumns(text));
}

inline constexpr char kBold[] = "1", kDim[] = "2", kGreen[] = "32",
                      kYellow[] = "33";

// Collects the report; knows width and colours.
class TerminalWriter {
 public:
  explicit TerminalWriter(const TerminalOptions& options) : options_(options) {}

  std::string Style(absl::string_view code, absl::string_view text) const {
    if (!options_.color || text.empty()) return std::string(text);
    return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
  }
  void Line(absl::string_view text = "") {
    absl::StrAppend(&out_, absl::StripTrailingAsciiWhitespace(text), "\n");
  }
  // Wrapped; the first line begins with `mark`, the others are indented.
  void Paragraph(absl::string_view mark, absl::string_view text,
                 absl::string_view style = "") {
    const size_t indent = Columns(mark);
    const size_t width =
        options_.width > indent + 20 ? options_.width - indent : size_t{20};
    bool first = true;
    for (const std::string& line : WrapText(text, width)) {
      const std::string start =
          first ? std::string(mark) : std::string(indent, ' ');
      Line(style.empty() ? start + line : Style(style, start + line));
      first = false;
    }
  }
  void Rule(size_t width) {
    std::string rule = "  ";
    for (size_t i = 2; i < width; ++i) rule += "\u2500";
    Line(Style(kDim, rule));
  }
  // With its sign; warnings in yellow.
  void Write(const Finding& finding) {
    const char* mark = finding.tone == Tone::kGood      ? "  + "
                       : finding.tone == Tone::kWarning ? "  ! "
                                                        : "  \u2022 ";
    Paragraph(mark, finding.text,
              finding.tone == Tone::kWarning ? kYellow : "");
  }
  size_t width() const { return options_.width; }
  std::string Finish() && { return std::move(out_); }

 private:
  TerminalOptions options_;
  std::string out_;
};

inline std::string Right(absl::string_view text, size_t width) {
  const size_t have = Columns(text);
  return std::string(width > have ? width - have : 0, ' ') + std::string(text);
}

inline std::string Left(absl::string_view text, size_t width) {
  const size_t have = Columns(text);
  return std::string(text) + std::string(width > have ? width - have : 1, ' ');
}

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TERMINAL_WRITER_H_
