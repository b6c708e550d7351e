#include "jobs/coordinator/access/lifetime.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

constexpr absl::Duration kLongest = absl::Hours(24 * 3660);

}  // namespace

absl::StatusOr<absl::Duration> ParseLifetime(absl::string_view text) {
  absl::Duration unit = absl::ZeroDuration();
  if (!text.empty()) {
    switch (text.back()) {
      case 'd':
        unit = absl::Hours(24);
        break;
      case 'h':
        unit = absl::Hours(1);
        break;
      case 'm':
        unit = absl::Minutes(1);
        break;
      case 's':
        unit = absl::Seconds(1);
        break;
    }
  }
  int32_t number = 0;
  if (unit > absl::ZeroDuration() &&
      absl::SimpleAtoi(text.substr(0, text.size() - 1), &number) &&
      number > 0 && number * unit <= kLongest) {
    return number * unit;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "'", text,
      "' is no time; expected days, hours, minutes or seconds up to ten "
      "years, such as 30d, 12h, 90m or 45s"));
}

}  // namespace caracal
