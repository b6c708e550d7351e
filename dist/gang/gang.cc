#include "dist/gang/gang.h"

#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/collective/agree.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

MeshGroups OneProcess() {
  MeshGroups groups;
  for (std::unique_ptr<Collective>* group :
       {&groups.world, &groups.data, &groups.tensor, &groups.layer,
        &groups.data_behind, &groups.tensor_behind, &groups.layer_behind,
        &groups.world_behind}) {
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
    : groups_(std::move(groups)), host_(std::move(host)) {
  StartQueues();
}

void Gang::StartQueues() {
  const auto queue = [](std::unique_ptr<CollectiveQueue>& of_device,
                        std::unique_ptr<Collective>& group) {
    return of_device != nullptr
               ? std::move(of_device)
               : std::make_unique<ThreadCollectiveQueue>(std::move(group));
  };
  behind_ = queue(groups_.behind, groups_.data_behind);
  if (shape().layer == 1) return;
  even_links_ = queue(groups_.even_links, groups_.layer);
  odd_links_ = queue(groups_.odd_links, groups_.layer_behind);
}

CollectiveQueue& Gang::from_before() {
  CARACAL_CHECK(even_links_ != nullptr) << FormatMesh(shape());
  return place().layer % 2 == 0 ? *odd_links_ : *even_links_;
}

CollectiveQueue& Gang::to_after() {
  CARACAL_CHECK(even_links_ != nullptr) << FormatMesh(shape());
  return place().layer % 2 == 0 ? *even_links_ : *odd_links_;
}

absl::Status Gang::LayOut(const MeshShape& shape) {
  RETURN_IF_ERROR(CheckRanks(shape, size()));
  if (shape == groups_.shape) return absl::OkStatus();
  return Remake(shape);
}

absl::Status Gang::Wrap(AxisWrapper wrap) {
  if (alone()) return absl::OkStatus();
  groups_.lay_out = [plain = std::move(groups_.lay_out),
                     wrap = std::move(wrap)](
                        const MeshShape& shape) -> absl::StatusOr<AxisGroups> {
    ASSIGN_OR_RETURN(AxisGroups groups, plain(shape));
    return wrap(std::move(groups));
  };
  return Remake(groups_.shape);
}

// In the same order on all ranks: groups end together.
void Gang::EndGroups() {
  behind_ = nullptr;
  even_links_ = nullptr;
  odd_links_ = nullptr;
  AxisGroups none;
  none.shape = groups_.shape;
  none.place = groups_.place;
  static_cast<AxisGroups&>(groups_) = std::move(none);
}

void Gang::Close() {
  if (!alone()) EndGroups();
}

void Gang::Lost(const absl::Status& error) {
  const bool silent = absl::IsUnavailable(error) ||
                      absl::IsDeadlineExceeded(error) ||
                      absl::IsResourceExhausted(error);
  if (silent && lost_) lost_(error);
}

// All ranks lay themselves out.
absl::Status Gang::Remake(MeshShape shape) {
  EndGroups();
  ASSIGN_OR_RETURN(static_cast<AxisGroups&>(groups_), groups_.lay_out(shape));
  StartQueues();
  return absl::OkStatus();
}

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
      .layer = even_links_ == nullptr ? 0
                                      : even_links_->collective().traffic() +
                                            odd_links_->collective().traffic(),
      .world = groups_.world->traffic()};
}

absl::Status Gang::Agree(const absl::Status& mine) {
  return AgreeOn(*groups_.world, mine);
}

}  // namespace caracal
