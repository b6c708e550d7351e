// Texts of all ranks, known to all.
#ifndef CARACAL_CORE_COLLECTIVE_GATHER_TEXT_H_
#define CARACAL_CORE_COLLECTIVE_GATHER_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/collective/collective.h"

namespace caracal {

// Every rank's text, any bytes of any length, in the order of the ranks; each
// takes as many bytes on its way as the longest. All ranks call. An error of
// the group comes back as such.
absl::StatusOr<std::vector<std::string>> GatherText(Collective& group,
                                                    absl::string_view mine);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_GATHER_TEXT_H_
