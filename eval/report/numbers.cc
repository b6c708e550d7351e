// Formatting by snprintf: the C locale's point, whatever the user's locale.
#include "eval/report/numbers.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace caracal {
namespace {

constexpr char kNotMeasured[] = "n/a";

}  // namespace

std::string Fixed(double value, int decimals) {
  if (!std::isfinite(value)) return kNotMeasured;
  std::string text = absl::StrFormat("%.*f", decimals, value);
  // Rounding may leave a minus before nothing but zeros.
  if (text.find_first_not_of("-0.") == std::string::npos && text[0] == '-') {
    text.erase(0, 1);
  }
  return text;
}

std::string Signed(double value, int decimals) {
  std::string text = Fixed(value, decimals);
  const bool zero = text.find_first_not_of("0.") == std::string::npos;
  const bool plus = std::isfinite(value) && text[0] != '-' && !zero;
  return plus ? "+" + text : text;
}

std::string Percent(double share) {
  if (!std::isfinite(share)) return kNotMeasured;
  const double percent = 100 * share;
  const bool whole = std::abs(percent) >= 9.95 || percent == 0;
  return Fixed(percent, whole ? 0 : 1) + "%";
}

std::string Count(int64_t value) {
  std::string text = absl::StrCat(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = text.size(); i > first + 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

std::string Bytes(uint64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 || value >= 99.95 ? 0 : 1, value,
                         units[unit]);
}

std::string Duration(double seconds) {
  if (!std::isfinite(seconds)) return kNotMeasured;
  if (seconds < 0.9995) return absl::StrFormat("%.0f ms", seconds * 1000);
  if (seconds < 59.95) return absl::StrFormat("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) {
    return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  }
  return absl::StrFormat("%d h %02d min", whole / 3600, whole % 3600 / 60);
}

int DecimalsFor(const Interval& interval) {
  if (!interval.bounded()) return 3;
  const double half = (interval.high - interval.low) / 2;
  if (!(half > 0)) return 3;
  return std::clamp(static_cast<int>(-std::floor(std::log10(half / 2))), 3, 6);
}

std::string SignedRange(const Interval& interval, int decimals) {
  if (!interval.bounded()) return kNotMeasured;
  return absl::StrCat("[", Signed(interval.low, decimals), ", ",
                      Signed(interval.high, decimals), "]");
}

std::string Range(const Interval& interval, int decimals) {
  if (!interval.bounded()) return kNotMeasured;
  return absl::StrCat("[", Fixed(interval.low, decimals), ", ",
                      Fixed(interval.high, decimals), "]");
}

}  // namespace caracal
