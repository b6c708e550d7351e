// Component modes for some layers and heads, on top of one for all.
#ifndef CARACAL_CORE_MODEL_MODE_OVERRIDES_H_
#define CARACAL_CORE_MODEL_MODE_OVERRIDES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/model/adapters.h"
#include "core/model/component_mode.h"
#include "core/model/mode_plan.h"

namespace caracal {

// first to last, both included.
struct NumberSpan {
  int64_t first = 0, last = 0;
};

struct ModeOverride {
  std::vector<NumberSpan> layers;  // empty: all but those kept as softmax
  std::vector<NumberSpan> heads;   // query heads; empty: all
  ComponentMode mode = ComponentMode::kHybrid;

  // As ParseModeOverride reads it.
  std::string ToString() const;
};

// "layers=0-3,7:la_only", "heads=2:none", "layers=5:heads=0,1:swa_only" or a
// mode alone. kInvalidArgument saying what was found.
absl::StatusOr<ModeOverride> ParseModeOverride(absl::string_view text);

// Whether the overrides, one after another, can be laid over `base` on a model
// of `layers` layers and `heads` heads: both exist, sinks_only has sinks,
// layers kept as softmax are left alone, adapters are on or off everywhere, and
// full softmax goes for whole layers. kInvalidArgument, with the override that
// cannot.
absl::Status CheckModeOverrides(const std::vector<ModeOverride>& overrides,
                                ComponentMode base,
                                const StudentConfig& student, int64_t layers,
                                int64_t heads);

// Lays overrides that CheckModeOverrides has passed over all sequences of a
// plan; later ones win.
void ApplyModeOverrides(const std::vector<ModeOverride>& overrides,
                        const StudentConfig& student, ModePlan* plan);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_MODE_OVERRIDES_H_
