// What a command talks to: streams, and what is known of the terminal behind
// them. Tests give string streams.
#ifndef CARACAL_JOBS_CLIENT_CONSOLE_H_
#define CARACAL_JOBS_CLIENT_CONSOLE_H_

#include <functional>
#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

struct Console {
  std::ostream& out;  // results
  std::ostream& err;  // errors and progress

  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Whether escape sequences may be written to a terminal at all: NO_COLOR is
  // unset and TERM is not "dumb".
  bool styles = false;
  // Whether the locale is UTF-8: line drawing, ellipses.
  bool unicode = false;
  // Columns of the terminal now; never 0. May change while running.
  std::function<int()> columns = [] { return 80; };

  bool StyledOut() const { return styles && out_is_terminal; }
  bool StyledErr() const { return styles && err_is_terminal; }
};

// The process's own standard output and error. `getenv` gives the value of an
// environment variable, or null.
Console SystemConsole(const std::function<const char*(const char*)>& getenv);

enum class Style { kPlain, kBold, kDim, kGood, kWarning, kBad };

// `text` in that style, or plain where `styled` is false; Printable() in either
// case.
std::string Styled(absl::string_view text, Style style, bool styled);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_CONSOLE_H_
