// Component modes: which parts of hybrid attention a head computes.
#ifndef CARACAL_CORE_MODEL_COMPONENT_MODE_H_
#define CARACAL_CORE_MODEL_COMPONENT_MODE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

enum class ComponentMode : uint8_t {
  kHybrid,      // softmax over A_n, linear over L_n
  kSwaOnly,     // softmax over A_n
  kLaOnly,      // linear over all j <= n
  kLaPast,      // linear over L_n; a row without such a key gives 0
  kSinksOnly,   // softmax over the sinks
  kNone,        // 0
  kSoftmax,     // plain softmax over all j <= n, adapters on
  kTeacher,     // plain softmax, adapters off: the model as it came
  kTeacherSwa,  // softmax over A_n, adapters off: the training-free baseline
};

// The mode's name in flags, job files and JSON: "hybrid", "swa_only", ...
absl::string_view NameOf(ComponentMode mode);
// kInvalidArgument, listing the names there are.
absl::StatusOr<ComponentMode> ComponentModeFromName(absl::string_view name);

// Whether LoRA adapters are applied.
bool AdaptersOn(ComponentMode mode);
// Whether the mode is full causal attention rather than a set of terms.
bool IsFullSoftmax(ComponentMode mode);
// The mode as a set of kernels::Terms; not for full softmax.
uint8_t TermsOf(ComponentMode mode);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_COMPONENT_MODE_H_
