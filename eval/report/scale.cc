// Ticks are whole multiples of a step, so that no error adds up along an axis.
#include "eval/report/scale.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_format.h"
#include "eval/report/numbers.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// A little slack, so that a tick on the domain's end is not lost to rounding.
constexpr double kSlack = 1e-9;

double RoundStep(double width, int count) {
  const double rough = width / std::max(count, 1);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double lead = rough / power;
  return power * (lead < std::sqrt(2.0)    ? 1
                  : lead < std::sqrt(10.0) ? 2
                  : lead < std::sqrt(50.0) ? 5
                                           : 10);
}

}  // namespace

Scale Scale::Linear(double low, double high, double from, double to) {
  CARACAL_CHECK(std::isfinite(low) && std::isfinite(high) && low <= high)
      << low << " to " << high;
  if (low == high) {
    const double pad = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= pad;
    high += pad;
  }
  return Scale(low, high, from, to, /*log=*/false);
}

Scale Scale::Log(double low, double high, double from, double to) {
  CARACAL_CHECK(low > 0 && std::isfinite(high) && low <= high)
      << low << " to " << high;
  if (low == high) {
    low /= 2;
    high *= 2;
  }
  return Scale(low, high, from, to, /*log=*/true);
}

double Scale::At(double value) const {
  const double share = log_ ? std::log(value / low_) / std::log(high_ / low_)
                            : (value - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<Scale::Tick> Scale::Ticks(int count) const {
  return log_ ? LogTicks(count) : LinearTicks(count);
}

std::vector<Scale::Tick> Scale::LinearTicks(int count) const {
  const double step = RoundStep(high_ - low_, count);
  const int decimals =
      std::max(0, static_cast<int>(-std::floor(std::log10(step) + kSlack)));
  std::vector<Tick> ticks;
  const auto first = static_cast<int64_t>(std::ceil(low_ / step - kSlack));
  const auto last = static_cast<int64_t>(std::floor(high_ / step + kSlack));
  for (int64_t i = first; i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    ticks.push_back({value, decimals == 0 ? Count(std::llround(value))
                                          : Fixed(value, decimals)});
  }
  return ticks;
}

std::vector<Scale::Tick> Scale::LogTicks(int count) const {
  const int first = static_cast<int>(std::floor(std::log10(low_)));
  const int last = static_cast<int>(std::ceil(std::log10(high_)));
  const double decades = std::log10(high_ / low_);
  // Many decades: every n-th power. Few: 1, 2 and 5 of each.
  const int stride =
      std::max(1, static_cast<int>(std::ceil(decades / std::max(count, 1))));
  const std::vector<double> leads = 3 * decades <= count + 1
                                        ? std::vector<double>{1, 2, 5}
                                        : std::vector<double>{1};
  std::vector<Tick> ticks;
  for (int power = first; power <= last; ++power) {
    if (power % stride != 0) continue;
    for (double lead : leads) {
      const double value = lead * std::pow(10, power);
      if (value < low_ * (1 - kSlack) || value > high_ * (1 + kSlack)) continue;
      ticks.push_back({value, absl::StrFormat("%g", value)});
    }
  }
  return ticks;
}

}  // namespace caracal
