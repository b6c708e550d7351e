// The prompt of Alpaca's instruction data.
#ifndef CARACAL_JOBS_DATA_ALPACA_H_
#define CARACAL_JOBS_DATA_ALPACA_H_

#include <string>

#include "absl/strings/string_view.h"

namespace caracal {

// Everything before the output, ending in "### Response:\n"; `input` may be
// empty. The template as Alpaca published it and LoLCATs applies it (with the
// line break behind "Response:").
std::string AlpacaPrompt(absl::string_view instruction,
                         absl::string_view input);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_ALPACA_H_
