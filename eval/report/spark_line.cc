#include "eval/report/spark_line.h"

#include <algorithm>
#include <cmath>

namespace caracal {

std::string SparkLine(const std::vector<double>& values, double low,
                      double high, bool unicode) {
  const char* const blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                "\u2585", "\u2586", "\u2587", "\u2588"};
  const char* const ascii[] = {"_", ".", ",", "-", "~", "=", "+", "#"};
  std::string out;
  for (const double value : values) {
    if (!std::isfinite(value)) {
      out += " ";
      continue;
    }
    const double share =
        high > low ? std::clamp((value - low) / (high - low), 0.0, 1.0) : 0;
    out += (unicode ? blocks : ascii)[std::lround(share * 7)];
  }
  return out;
}

}  // namespace caracal
