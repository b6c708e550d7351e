#include "core/collective/agree.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

// A status as bytes of fixed size.
struct PackedStatus {
  int32_t code = 0;
  char message[1020] = {};
};

}  // namespace

absl::Status AgreeOn(Collective& group, const absl::Status& mine) {
  if (group.size() == 1) return mine;
  // Nearly always there is nothing to tell.
  const int32_t code = static_cast<int32_t>(mine.code());
  std::vector<int32_t> codes(group.size());
  absl::Status status = group.AllGatherBytes(&code, sizeof(code), codes.data());
  if (!status.ok()) return status;
  const auto first = std::find_if(codes.begin(), codes.end(),
                                  [](int32_t c) { return c != 0; });
  if (first == codes.end()) return absl::OkStatus();
  PackedStatus packed;
  const std::string message(mine.message());
  std::memcpy(packed.message, message.data(),
              std::min(message.size(), sizeof(packed.message) - 1));
  std::vector<PackedStatus> all(group.size());
  status = group.AllGatherBytes(&packed, sizeof(packed), all.data());
  if (!status.ok()) return status;
  const int rank = static_cast<int>(first - codes.begin());
  if (rank == group.rank()) return mine;
  return absl::Status(static_cast<absl::StatusCode>(*first),
                      absl::StrCat("rank ", rank, ": ", all[rank].message));
}

}  // namespace caracal
