#include "eval/report/html_findings.h"

#include "absl/strings/str_cat.h"
#include "eval/report/html.h"

namespace caracal {
namespace {

// A sign and, for readers who cannot see it, a word.
std::string SignOf(Tone tone) {
  const char* sign = tone == Tone::kGood      ? "\u2713"
                     : tone == Tone::kWarning ? "!"
                                              : "\u2022";
  return absl::StrCat(
      "<span class=\"sign\" aria-hidden=\"true\">", sign, "</span>",
      tone == Tone::kWarning ? "<span class=\"unseen\">Warning: </span>" : "");
}

}  // namespace

const char* ToneClass(Tone tone) {
  switch (tone) {
    case Tone::kGood:
      return "good";
    case Tone::kWarning:
      return "warning";
    case Tone::kPlain:
      break;
  }
  return "plain";
}

std::string FindingItem(const Finding& finding) {
  return Element("li", ToneClass(finding.tone),
                 SignOf(finding.tone) + HtmlText(finding.text));
}

}  // namespace caracal
