// Errors of one rank, known to all.
#ifndef CARACAL_CORE_COLLECTIVE_AGREE_H_
#define CARACAL_CORE_COLLECTIVE_AGREE_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/collective/collective.h"

namespace caracal {

// The first error by rank, on all ranks, with the rank's number before the
// message where it is another's: nobody goes on alone. `mine` is this rank's;
// OK when all are. An error that an earlier agreement brought counts only where
// no rank has one of its own. Long messages are cut on other ranks. An error of
// the group itself comes back as such.
absl::Status AgreeOn(Collective& group, const absl::Status& mine);

// The rank whose error this is: the one to tell it. None: this rank's own.
std::optional<int> RankOfError(const absl::Status& status);
// `status`, as that rank's.
absl::Status ErrorOfRank(absl::Status status, int rank);
// As Annotate(), and remains the rank's.
absl::Status AnnotateRanked(const absl::Status& status,
                            absl::string_view context);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_AGREE_H_
