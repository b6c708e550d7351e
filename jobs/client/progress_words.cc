#include "jobs/client/progress_words.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace caracal {

std::string LossText(double loss) {
  return std::abs(loss) < 1000 ? absl::StrFormat("%.4f", loss)
                               : absl::StrFormat("%.4g", loss);
}

std::string Bar(double done, int columns, bool unicode) {
  const int full =
      std::clamp(static_cast<int>(std::floor(done * columns)), 0, columns);
  std::string bar;
  for (int i = 0; i < columns; ++i) {
    bar += i < full ? (unicode ? "\xE2\x94\x81" : "#")   // heavy line
                    : (unicode ? "\xE2\x94\x80" : "-");  // light line
  }
  return bar;
}

}  // namespace caracal
