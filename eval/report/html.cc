// Plain concatenation.
#include "eval/report/html.h"

#include "absl/strings/str_cat.h"
#include "eval/report/text.h"

namespace caracal {

std::string HtmlText(absl::string_view text) {
  return EscapeHtml(TypographicMinus(text));
}

std::string Element(absl::string_view tag, absl::string_view style_class,
                    absl::string_view html) {
  const std::string attribute =
      style_class.empty() ? "" : absl::StrCat(" class=\"", style_class, "\"");
  return absl::StrCat("<", tag, attribute, ">", html, "</", tag, ">\n");
}

std::string Section(absl::string_view title, absl::string_view html) {
  if (html.empty()) return "";
  return absl::StrCat("<section>\n", Element("h2", "", HtmlText(title)), html,
                      "</section>\n");
}

std::string Figure(absl::string_view title, absl::string_view about,
                   absl::string_view chart_html) {
  if (chart_html.empty()) return "";
  return Element(
      "figure", "",
      absl::StrCat(title.empty() ? "" : Element("h3", "", HtmlText(title)),
                   about.empty() ? "" : Element("p", "", HtmlText(about)),
                   chart_html));
}

std::string Fact(absl::string_view name, absl::string_view text) {
  if (text.empty()) return "";
  return Element("dt", "", HtmlText(name)) +
         Element("dd", "", EscapeHtml(text));
}

std::string HtmlName(absl::string_view name) {
  std::string html;
  while (!name.empty()) {
    const size_t part = name.find_first_of("/-_");
    const size_t end = part == absl::string_view::npos ? name.size() : part + 1;
    html += HtmlText(name.substr(0, end));
    name.remove_prefix(end);
    if (!name.empty()) html += "<wbr/>";
  }
  return html;
}

std::string Scrollable(absl::string_view label, absl::string_view html) {
  return absl::StrCat("<div class=\"scroll\" tabindex=\"0\" role=\"region\" ",
                      "aria-label=\"", EscapeHtml(label), "\">\n", html,
                      "</div>\n");
}

}  // namespace caracal
