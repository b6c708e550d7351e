#include "core/tape/execution.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace caracal {

void Execution::CheckFinite(int layer, absl::string_view tensor,
                            ConstTensorView value) {
  if (!check_finite || !status.ok()) return;
  const float* data = value.f32();
  for (int64_t i = 0; i < value.size(); ++i) {
    if (std::isfinite(data[i])) continue;
    const std::string where = layer < 0
                                  ? std::string(tensor)
                                  : absl::StrCat("layer ", layer, ", ", tensor);
    Fail(absl::DataLossError(
        absl::StrCat(where, ": element ", i, " is ", data[i])));
    return;
  }
}

}  // namespace caracal
