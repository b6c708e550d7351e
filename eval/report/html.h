// Small helpers that put HTML together. Arguments named `html` are inserted
// as they are; arguments named `text` are escaped.
#ifndef CARACAL_EVAL_REPORT_HTML_H_
#define CARACAL_EVAL_REPORT_HTML_H_

#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// Escaped, with typographic minus signs.
std::string HtmlText(absl::string_view text);

// <tag class="style_class">html</tag>; no attribute for an empty class.
std::string Element(absl::string_view tag, absl::string_view style_class,
                    absl::string_view html);

// A section with an <h2>; "" when `html` is empty.
std::string Section(absl::string_view title, absl::string_view html);

// A figure: <h3> and one line about it where there are such, a chart; "" when
// `chart_html` is empty.
std::string Figure(absl::string_view title, absl::string_view about,
                   absl::string_view chart_html);

// <dt>..</dt><dd>..</dd>; "" when `text` is empty.
std::string Fact(absl::string_view name, absl::string_view text);

// HtmlText() of a path or name, which may be broken after / - and _ only.
std::string HtmlName(absl::string_view name);

// A table's box that scrolls sideways on narrow screens, also by keyboard.
std::string Scrollable(absl::string_view label, absl::string_view html);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_HTML_H_
