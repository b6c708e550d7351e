#include "dist/gang/gang.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

TEST(GangTest, OneProcessHasNobodyToAsk) {
  Gang gang;
  EXPECT_TRUE(gang.alone());
  EXPECT_TRUE(gang.leads());
  double value = 2.5;
  EXPECT_OK(gang.Sum(absl::MakeSpan(&value, 1)));
  EXPECT_EQ(value, 2.5);
  EXPECT_EQ(gang.Agree(absl::DataLossError("x")), absl::DataLossError("x"));
}

TEST(GangTest, SumsAreTheSameOnAllRanks) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  std::vector<std::vector<double>> sums(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    std::vector<double> values = {1.0 + gang.rank(), 1e-17,
                                  gang.speaks_for_tensor_group()};
    if (gang.rank() == 1) values[1] = 1;
    CARACAL_CHECK_OK(gang.Sum(absl::MakeSpan(values)));
    sums[gang.rank()] = values;
  });
  EXPECT_EQ(sums[0], (std::vector<double>{10, 1 + 1e-17 + 1e-17 + 1e-17, 2}));
  for (const std::vector<double>& values : sums) EXPECT_EQ(values, sums[0]);
}

TEST(GangTest, TheFirstErrorIsEverybodys) {
  const MeshShape shape = {.data = 3};
  std::vector<absl::Status> seen(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    const int rank = gang.rank();
    CARACAL_CHECK_OK(gang.Agree(absl::OkStatus()));
    seen[rank] = gang.Agree(rank == 0   ? absl::OkStatus()
                            : rank == 1 ? absl::DataLossError("rows.h5 is cut")
                                        : absl::InternalError("later"));
  });
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(seen[rank].code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(seen[rank].message(),
              rank == 1 ? "rows.h5 is cut" : "rank 1: rows.h5 is cut");
  }
}

// Every rank of a chain hands on what it got, plus one.
void PassAlong(Gang& gang, std::vector<float>* seen) {
  const int place = gang.place().layer, last = gang.shape().layer - 1;
  float value = 10 * static_cast<float>(gang.place().data);
  const TensorView view(&value, {1});
  if (place > 0) {
    gang.from_before().Start(
        [&](Collective& links) { return links.Receive(view, place - 1); });
    CARACAL_CHECK_OK(gang.from_before().Wait());
  }
  (*seen)[gang.rank()] = value;
  value += 1;
  if (place == last) return;
  gang.to_after().Start(
      [&](Collective& links) { return links.Send(view, place + 1); });
  CARACAL_CHECK_OK(gang.to_after().Wait());
}

TEST(GangTest, IsLaidOutAnew) {
  const MeshShape chain = {.data = 2, .layer = 3};
  std::vector<float> seen(chain.ranks()), again(chain.ranks());
  RunAsMesh(chain, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    PassAlong(gang, &seen);
    EXPECT_EQ(gang.LayOut({.data = 4}).code(),
              absl::StatusCode::kInvalidArgument);
    CARACAL_CHECK_OK(gang.LayOut({.data = 6}));
    EXPECT_EQ(gang.data().size(), 6);
    EXPECT_EQ(gang.place().data, gang.rank());
    double sum = 1;
    CARACAL_CHECK_OK(gang.Sum(absl::MakeSpan(&sum, 1)));
    EXPECT_EQ(sum, 6);
    CARACAL_CHECK_OK(gang.LayOut(chain));
    PassAlong(gang, &again);
  });
  EXPECT_EQ(seen, (std::vector<float>{0, 1, 2, 10, 11, 12}));
  EXPECT_EQ(again, seen);
}

// A queue that runs what it is given at once, as a device's does.
class PromptQueue final : public CollectiveQueue {
 public:
  explicit PromptQueue(std::unique_ptr<Collective> group)
      : group_(std::move(group)) {}
  void Start(Operation operation) override { result_ = operation(*group_); }
  absl::Status Wait() override { return result_; }
  const Collective& collective() const override { return *group_; }

 private:
  std::unique_ptr<Collective> group_;
  absl::Status result_;
};

TEST(GangTest, GroupsAreWrappedInEveryLayout) {
  const MeshShape first = {.data = 2, .tensor = 2}, second = {.data = 4};
  std::vector<std::vector<MeshShape>> wrapped(first.ranks());
  RunAsMesh(first, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    CARACAL_CHECK_OK(
        gang.Wrap([&](AxisGroups plain) -> absl::StatusOr<AxisGroups> {
          wrapped[gang.rank()].push_back(plain.shape);
          plain.behind =
              std::make_unique<PromptQueue>(std::move(plain.data_behind));
          return plain;
        }));
    for (const MeshShape& shape : {first, second}) {
      CARACAL_CHECK_OK(gang.LayOut(shape));
      float value = 1;
      gang.behind().Start([&](Collective& data) {
        return data.AllReduceSum(TensorView(&value, {1}));
      });
      // Nothing was waited for: it is the wrapper's queue.
      EXPECT_EQ(value, shape.data);
      CARACAL_CHECK_OK(gang.behind().Wait());
    }
  });
  for (const std::vector<MeshShape>& shapes : wrapped) {
    EXPECT_EQ(shapes, (std::vector<MeshShape>{first, second}));
  }
}

TEST(GangTest, OneProcessHasNothingToWrap) {
  Gang gang;
  EXPECT_OK(gang.Wrap([](AxisGroups) -> absl::StatusOr<AxisGroups> {
    return absl::InternalError("not called");
  }));
}

TEST(GangTest, CountsWhatItSendsByGroup) {
  EXPECT_EQ(Gang().traffic(), GangTraffic());
  const MeshShape shape = {.data = 3, .tensor = 2};
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    const GangTraffic before = gang.traffic();
    float value = 1;
    const TensorView one(&value, {1});
    gang.behind().Start([&](Collective& data) -> absl::Status {
      CARACAL_CHECK_OK(gang.tensor_behind().Broadcast(one, 0));
      return data.Broadcast(one, 0);
    });
    CARACAL_CHECK_OK(gang.behind().Wait());
    CARACAL_CHECK_OK(gang.tensor().Broadcast(one, 1));
    CARACAL_CHECK_OK(gang.data().Broadcast(one, 0));
    double sum = 1;
    CARACAL_CHECK_OK(gang.Sum(absl::MakeSpan(&sum, 1)));
    const bool first = gang.place().data == 0;
    EXPECT_EQ(gang.traffic() - before,
              (GangTraffic{.tensor = 4, .data = first ? 16u : 0u, .world = 40}))
        << gang.rank();
  });
}

// An error of this rank's own is told in other ways.
TEST(GangTest, WhatDoesNotAnswerIsToldOf) {
  std::vector<absl::StatusCode> told;
  Gang gang;
  gang.Lost(absl::UnavailableError("nobody to tell"));
  gang.set_lost(
      [&](const absl::Status& error) { told.push_back(error.code()); });
  for (const absl::Status& error :
       {absl::UnavailableError("a lost GPU"), absl::DataLossError("NaN"),
        absl::CancelledError("stopped"),
        absl::ResourceExhaustedError("out of GPU memory"),
        absl::DeadlineExceededError("a stream that stands still")}) {
    gang.Lost(error);
  }
  EXPECT_EQ(told, (std::vector{absl::StatusCode::kUnavailable,
                               absl::StatusCode::kResourceExhausted,
                               absl::StatusCode::kDeadlineExceeded}));
}

TEST(GangTest, TheWorldOutlastsTheAxes) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    gang.Close();
    EXPECT_EQ(gang.shape(), shape);
    double sum = 1;
    EXPECT_OK(gang.Sum(absl::MakeSpan(&sum, 1)));
    EXPECT_EQ(sum, 4);
  });
}

}  // namespace
}  // namespace caracal
