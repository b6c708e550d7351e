// Text that came from outside (prompts, model output, paths, job files) made
// fit to show: valid UTF-8 without control characters, escaped for HTML,
// wrapped for a terminal.
#ifndef CARACAL_EVAL_REPORT_TEXT_H_
#define CARACAL_EVAL_REPORT_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace caracal {

// Valid UTF-8 whose only control characters are new line and tab. Bytes that
// are not UTF-8, other controls (terminal escapes among them), surrogates and
// noncharacters become U+FFFD; "\r\n" becomes "\n".
std::string Printable(absl::string_view text);

// The same of a text that comes in pieces, which may be cut anywhere.
class PrintablePieces {
 public:
  // What can be shown so far, but for what was returned before.
  std::string Add(absl::string_view piece);
  // The rest, at the end.
  std::string Finish();

 private:
  std::string held_;  // may be the beginning of a character, or of "\r\n"
};

// Printable() with & < > " ' as entities: safe as element content and inside
// quoted attributes, of HTML and of XML.
std::string EscapeHtml(absl::string_view text);

// The minus sign U+2212 for every hyphen that stands before a digit and after
// nothing, a space or a bracket: "(-0.5" but not "gpt-2" or "2026-01".
std::string TypographicMinus(absl::string_view text);

// Lines of at most `width` columns, broken at spaces; new lines in the text
// are kept, and words longer than a line are cut.
std::vector<std::string> WrapText(absl::string_view text, size_t width);

// Bytes of the longest common beginning that ends between two characters.
size_t CommonPrefix(absl::string_view a, absl::string_view b);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TEXT_H_
