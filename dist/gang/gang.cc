#include "dist/gang/gang.h"

#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/collective/agree.h"

namespace caracal {
namespace {

MeshGroups OneProcess() {
  MeshGroups groups;
  for (std::unique_ptr<Collective>* group :
       {&groups.world, &groups.data, &groups.tensor, &groups.layer,
        &groups.data_behind, &groups.tensor_behind, &groups.world_behind}) {
    *group = std::make_unique<SingleProcessCollective>();
  }
  return groups;
}

}  // namespace

GangTraffic operator-(const GangTraffic& after, const GangTraffic& before) {
  return {.tensor = after.tensor - before.tensor,
          .data = after.data - before.data,
          .layer = after.layer - before.layer,
          .world = after.world - before.world};
}

Gang::Gang() : Gang(OneProcess()) {}

Gang::Gang(MeshGroups groups, std::string host)
    : groups_(std::move(groups)),
      host_(std::move(host)),
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

GangTraffic Gang::traffic() const {
  return {
      .tensor = groups_.tensor->traffic() + groups_.tensor_behind->traffic(),
      .data = groups_.data->traffic() + behind_->collective().traffic(),
      .layer = groups_.layer->traffic(),
      .world = groups_.world->traffic()};
}

absl::Status Gang::Agree(const absl::Status& mine) {
  return AgreeOn(*groups_.world, mine);
}

}  // namespace caracal
