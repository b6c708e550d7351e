// Errors of one rank, known to all.
#ifndef CARACAL_CORE_COLLECTIVE_AGREE_H_
#define CARACAL_CORE_COLLECTIVE_AGREE_H_

#include "absl/status/status.h"
#include "core/collective/collective.h"

namespace caracal {

// The first error by rank, on all ranks, with the rank's number where it is
// another's: nobody goes on alone. `mine` is this rank's; OK when all are.
// Long messages are cut on other ranks. An error of the group itself comes back
// as such.
absl::Status AgreeOn(Collective& group, const absl::Status& mine);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_AGREE_H_
