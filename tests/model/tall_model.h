// A model with more layers than the golden ones, for chains of ranks.
#ifndef CARACAL_TESTS_MODEL_TALL_MODEL_H_
#define CARACAL_TESTS_MODEL_TALL_MODEL_H_

#include <string>

#include "absl/status/status.h"

namespace caracal::golden {

// A Hugging Face folder: tiny_gqa with `layers` layers, its own two over and
// over, each a little larger than the one before, so that no two are alike.
absl::Status WriteTallModel(const std::string& folder, int layers);

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_TALL_MODEL_H_
