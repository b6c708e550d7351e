// Names of feature maps in flags, job files and reports.
#ifndef CARACAL_CORE_MODEL_FEATURE_MAP_NAME_H_
#define CARACAL_CORE_MODEL_FEATURE_MAP_NAME_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/feature_map/feature_map.h"

namespace caracal {

// "hedgehog", "exp", "t2r", "elu1", "hedgehog_fla", "identity".
std::vector<std::string> FeatureMapNames();

// The map of that name; with `half_space` the first half of its outputs alone.
// kInvalidArgument listing the names there are, or when the map has no halves
// that could stand alone (hedgehog_fla normalises over both).
absl::StatusOr<kernels::FeatureMapKind> FeatureMapFromName(
    absl::string_view name, bool half_space);

// The name, without regard to half_space.
absl::string_view NameOf(kernels::FeatureMapKind kind);
bool IsHalfSpace(kernels::FeatureMapKind kind);

// Whether the map is defined with a bias (t2r, hedgehog_fla).
bool HasBiasByDefinition(absl::string_view name);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_FEATURE_MAP_NAME_H_
