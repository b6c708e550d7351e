// The first thing that ranks do together: see whether they belong together.
#ifndef CARACAL_DIST_HANDSHAKE_HANDSHAKE_H_
#define CARACAL_DIST_HANDSHAKE_HANDSHAKE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/collective/collective.h"

namespace caracal {

// Something that must be the same on all ranks: {"seed", "17"}.
struct Fact {
  std::string name;
  std::string value;
};

// Every rank of the group calls with its facts, no two of one name, at most
// 1 MiB altogether. OK on all ranks or an error on all:
//   kFailedPrecondition  they differ: one sentence, the same on all ranks,
//                        with the first difference in rank 0's order, both
//                        values, who has them and on which host, and the names
//                        of what else differs
// and the group's own errors.
absl::Status CompareFacts(Collective& group, const std::string& host,
                          const std::vector<Fact>& facts);

// What is true of the program rather than of its job: its version, the hash of
// its file, and the byte order of the machine.
absl::StatusOr<std::vector<Fact>> ProgramFacts(FileSystem* file_system);

}  // namespace caracal

#endif  // CARACAL_DIST_HANDSHAKE_HANDSHAKE_H_
