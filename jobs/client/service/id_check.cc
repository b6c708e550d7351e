#include "jobs/client/service/id_check.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace caracal {

std::string CheckId(const std::string& text) {
  uint64_t id = 0;
  const bool digits =
      std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (digits && absl::SimpleAtoi(text, &id) && id > 0) return "";
  return absl::StrCat("is '", text, "', expected a number from 1");
}

}  // namespace caracal
