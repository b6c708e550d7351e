// "Did you mean ...?" for names that users type.
#ifndef CARACAL_JOBS_SPEC_CLOSEST_NAME_H_
#define CARACAL_JOBS_SPEC_CLOSEST_NAME_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace caracal {

// The name that is the fewest edits (insert, delete, replace, swap of
// neighbours; case ignored) away from `typed`; empty when none is near, that
// is within a third of the typed length, rounded up.
std::string ClosestName(absl::string_view typed,
                        const std::vector<std::string>& names);

// "did you mean 'window'?", or "expected one of a, b, c" where nothing is
// near.
std::string SuggestName(absl::string_view typed,
                        const std::vector<std::string>& names);

// For fields: both, "did you mean 'window'? accepted: window, sinks".
std::string SuggestField(absl::string_view typed,
                         const std::vector<std::string>& names);

// For values, of which all that are accepted are told: "expected one of auto,
// cpu, cuda; did you mean 'cpu'?".
std::string SuggestChoice(absl::string_view typed,
                          const std::vector<std::string>& choices);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_CLOSEST_NAME_H_
