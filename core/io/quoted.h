// Text from files, made safe to print.
#ifndef CARACAL_CORE_IO_QUOTED_H_
#define CARACAL_CORE_IO_QUOTED_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// `text` as it may stand in an error message: control characters and bytes
// outside ASCII escaped, at most `limit` bytes of it, in double quotes.
std::string Quoted(absl::string_view text, size_t limit = 80);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_QUOTED_H_
