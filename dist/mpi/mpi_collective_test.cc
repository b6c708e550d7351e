// On every number of ranks of BUILD.bazel; each rank runs each case.
#include "dist/mpi/mpi_collective.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/collective/collective_queue.h"
#include "core/collective/collective_testing.h"
#include "core/collective/traffic.h"
#include "dist/mpi/mpi_runtime.h"
#include "dist/mpi/testing/mpi_test_main.h"

namespace caracal {
namespace {

using testing::HasSubstr;

std::unique_ptr<Collective> World(const MpiOptions& options = MpiOptions()) {
  auto group = TestRuntime().World("world", options);
  CARACAL_CHECK_OK(group.status());
  return *std::move(group);
}

TEST(MpiCollective, DoesEverything) {
  collective_testing::CheckEverything(*World(), 300007);
}

TEST(MpiCollective, DoesEverythingInManySmallBlocks) {
  MpiOptions options;
  options.block_bytes = 248;
  collective_testing::CheckEverything(*World(options), 10007);
}

TEST(MpiCollective, LargePiecesGoInSeveralBlocks) {
  collective_testing::CheckAllReduce(*World(), 1 << 20 | 5, DType::kF32);
}

TEST(MpiCollective, TheSameBitsInEveryRun) {
  const auto group = World();
  std::vector<float> first;
  for (int run = 0; run < 5; ++run) {
    std::vector<float> data(70001);
    for (size_t i = 0; i < data.size(); ++i) {
      data[i] = 1.0f / (1 + i * (group->rank() + 1));
    }
    ASSERT_OK(group->AllReduceSum(
        TensorView(data.data(), {static_cast<int64_t>(data.size())})));
    if (run == 0) first = data;
    EXPECT_EQ(data, first);
  }
}

TEST(MpiCollective, NobodyPassesABarrierBeforeAllHaveCome) {
  // A counter that the ranks share: a file of rank 0, mapped by all.
  const auto group = World();
  const std::string path =
      testing::TempDir() + "/come" + std::to_string(group->size());
  if (group->rank() == 0) std::ofstream(path) << std::string(64, '\0');
  ASSERT_OK(group->Barrier());
  const int file = open(path.c_str(), O_RDWR);
  void* const shared =
      mmap(nullptr, 64, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(shared, MAP_FAILED) << path;
  std::atomic_ref<int> come(*static_cast<int*>(shared));
  for (int round = 1; round <= 20; ++round) {
    ++come;
    ASSERT_OK(group->Barrier());
    EXPECT_GE(come.load(), group->size() * round);
    ASSERT_OK(group->Barrier());
  }
  munmap(shared, 64);
  close(file);
}

TEST(MpiCollective, GroupsAreSplitByColourAndOrderedByKey) {
  const int rank = TestRuntime().rank(), size = TestRuntime().size();
  ASSERT_OK_AND_ASSIGN(
      const auto group,
      TestRuntime().Split(rank % 2, size - rank, "parity group"));
  EXPECT_EQ(group->size(), (size + 1 - rank % 2) / 2);
  std::vector<int> members(group->size());
  ASSERT_OK(group->AllGatherBytes(&rank, sizeof(rank), members.data()));
  for (int r = 0; r < group->size(); ++r) {
    // The last of the parity comes first.
    EXPECT_EQ(members[r], rank % 2 + 2 * (group->size() - 1 - r));
  }
  collective_testing::CheckAllReduce(*group, 1000, DType::kF32);
}

TEST(MpiCollective, AQueueWorksBesideTheCallersGroup) {
  constexpr int kBuckets = 16, kElements = 20011;
  const auto group = World();
  ThreadCollectiveQueue queue(World());
  const int ranks = group->size();
  std::vector<float> gradients(kBuckets * kElements);
  std::vector<float> activations(4001);
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    float* mine = &gradients[bucket * kElements];
    std::fill_n(mine, kElements, bucket * (group->rank() + 1));
    queue.Start([mine](Collective& behind) {
      return behind.AllReduceSum(TensorView(mine, {kElements}));
    });
    activations.assign(4001, group->rank() + bucket);
    ASSERT_OK(group->AllReduceMax(TensorView(activations.data(), {4001})));
    EXPECT_EQ(activations[4000], ranks - 1 + bucket);
  }
  ASSERT_OK(queue.Wait());
  for (int i = 0; i < kBuckets * kElements; ++i) {
    ASSERT_EQ(gradients[i], i / kElements * (ranks * (ranks + 1) / 2)) << i;
  }
  uint64_t sent = 0;
  for (int bucket = 0; bucket < kBuckets; ++bucket) {
    sent += AllReduceTraffic(kElements, 4, group->rank(), ranks);
  }
  EXPECT_EQ(queue.collective().traffic(), sent);
}

// Messages of a call that failed may still come: their memory stays.
float data_that_stays[400];
float more_data_that_stays[400];

TEST(MpiCollective, RanksThatDifferAreToldSo) {
  const auto group = World();
  if (group->size() == 1) return;  // There is nobody to differ from.
  // Rank 0 thinks of 100 elements each, the others of 60.
  const int64_t n = group->rank() == 0 ? 100 : 60;
  const absl::Status status = group->AllGather(
      TensorView(data_that_stays, {n}), std::vector<int64_t>(group->size(), n),
      TensorView(more_data_that_stays, {group->size() * n}));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal,
                               HasSubstr("in AllGather on rank ")));
  if (group->rank() != 0) {
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("of the world (from rank 0, 240 bytes)"));
  }
  EXPECT_EQ(group->Barrier(), status);  // The group is unusable.
}

TEST(MpiCollective, ARankThatDoesNotComeIsNamed) {
  MpiOptions options;
  options.timeout = absl::Milliseconds(30);
  const auto group = World(options);
  const int last = group->size() - 1;
  if (group->rank() == last) return;
  const TensorView view(data_that_stays, {1});
  const absl::Status status = group->rank() == 0 ? group->Receive(view, last)
                                                 : group->AllReduceSum(view);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kDeadlineExceeded,
                               HasSubstr("nothing came for ")));
  EXPECT_THAT(
      std::string(status.message()),
      HasSubstr(
          group->rank() == 0
              ? absl::StrCat("in Receive on rank 0 of the world (from rank ",
                             last, ", 4 bytes)")
              : absl::StrCat("in AllReduceSum on rank ", group->rank(),
                             " of the world (from")));
}

TEST(MpiRuntime, StartsOnce) {
  EXPECT_THAT(MpiRuntime::Start(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("started already")));
  EXPECT_FALSE(TestRuntime().host().empty());
}

TEST(MpiRuntime, FewerThreadsThanNeededAreRefused) {
  EXPECT_OK(CheckThreadSupport(MPI_THREAD_MULTIPLE));
  EXPECT_THAT(CheckThreadSupport(MPI_THREAD_SERIALIZED),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("gives MPI_THREAD_SERIALIZED, but")));
}

}  // namespace
}  // namespace caracal
