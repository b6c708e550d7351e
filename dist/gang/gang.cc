#include "dist/gang/gang.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

MeshGroups OneProcess() {
  MeshGroups groups;
  for (std::unique_ptr<Collective>* group :
       {&groups.world, &groups.data, &groups.tensor, &groups.layer,
        &groups.data_behind, &groups.tensor_behind}) {
    *group = std::make_unique<SingleProcessCollective>();
  }
  return groups;
}

// A status as bytes of fixed size; long messages are cut.
struct PackedStatus {
  int32_t code = 0;
  char message[1020] = {};
};

}  // namespace

Gang::Gang() : Gang(OneProcess()) {}

Gang::Gang(MeshGroups groups)
    : groups_(std::move(groups)),
      behind_(
          std::make_unique<CollectiveQueue>(std::move(groups_.data_behind))) {}

absl::Status Gang::Sum(absl::Span<double> values) {
  if (alone()) return absl::OkStatus();
  std::vector<double> all(values.size() * static_cast<size_t>(size()));
  RETURN_IF_ERROR(groups_.world->AllGatherBytes(
      values.data(), values.size() * sizeof(double), all.data()));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 0;
    for (int r = 0; r < size(); ++r) values[i] += all[r * values.size() + i];
  }
  return absl::OkStatus();
}

absl::Status Gang::Agree(const absl::Status& mine) {
  if (alone()) return mine;
  PackedStatus packed;
  packed.code = static_cast<int32_t>(mine.code());
  const std::string message(mine.message());
  std::memcpy(packed.message, message.data(),
              std::min(message.size(), sizeof(packed.message) - 1));
  std::vector<PackedStatus> all(size());
  RETURN_IF_ERROR(
      groups_.world->AllGatherBytes(&packed, sizeof(packed), all.data()));
  for (int r = 0; r < size(); ++r) {
    if (all[r].code == 0) continue;
    if (r == rank()) return mine;
    return absl::Status(static_cast<absl::StatusCode>(all[r].code),
                        absl::StrCat("rank ", r, ": ", all[r].message));
  }
  return absl::OkStatus();
}

}  // namespace caracal
