#include "jobs/client/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "eval/report/text.h"

namespace caracal {
namespace {

int TerminalWidth() {
  for (const int fd : {STDERR_FILENO, STDOUT_FILENO}) {
    winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return size.ws_col;
    }
  }
  return 80;
}

bool IsUtf8Locale(const std::function<const char*(const char*)>& getenv) {
  // The first that is set decides (POSIX, "Internationalization Variables").
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = absl::AsciiStrToLower(value);
    return absl::StrContains(locale, "utf-8") ||
           absl::StrContains(locale, "utf8");
  }
  return false;
}

}  // namespace

Console SystemConsole(const std::function<const char*(const char*)>& getenv) {
  Console console{std::cout, std::cerr};
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = isatty(STDERR_FILENO) == 1;
  const char* no_color = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  console.styles = (no_color == nullptr || *no_color == '\0') &&
                   terminal != nullptr && *terminal != '\0' &&
                   absl::string_view(terminal) != "dumb";
  console.unicode = IsUtf8Locale(getenv);
  console.columns = TerminalWidth;
  return console;
}

std::string Styled(absl::string_view text, Style style, bool styled) {
  std::string shown = Printable(text);
  if (!styled || style == Style::kPlain || text.empty()) return shown;
  const char* code = "";
  switch (style) {
    case Style::kPlain:
      break;
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kGood:
      code = "32";
      break;
    case Style::kWarning:
      code = "33";
      break;
    case Style::kBad:
      code = "31";
      break;
  }
  return absl::StrCat("\x1b[", code, "m", shown, "\x1b[0m");
}

}  // namespace caracal
