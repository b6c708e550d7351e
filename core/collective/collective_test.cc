#include "core/collective/collective.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "core/base/status_matchers.h"
#include "core/collective/checks.h"
#include "core/collective/collective_testing.h"
#include "core/collective/reduce.h"
#include "core/collective/thread_collective.h"
#include "core/collective/traffic.h"

namespace caracal {
namespace {

using collective_testing::CheckEverything;

constexpr int64_t kLargest = 100003;

TEST(SingleProcessCollective, DoesEverything) {
  SingleProcessCollective group;
  CheckEverything(group, kLargest);
}

TEST(ThreadCollective, DoesEverything) {
  for (const int size : {1, 2, 3, 4}) {
    RunAsRanks(size,
               [](Collective& group) { CheckEverything(group, kLargest); });
  }
}

TEST(ThreadCollective, NobodyPassesABarrierBeforeAllHaveCome) {
  std::atomic<int> come = 0;
  RunAsRanks(4, [&](Collective& group) {
    for (int round = 1; round <= 50; ++round) {
      ++come;
      EXPECT_OK(group.Barrier());
      EXPECT_GE(come.load(), 4 * round);
      EXPECT_OK(group.Barrier());
    }
  });
}

TEST(ThreadCollectiveDeathTest, RanksMustBeInTheSameCall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(RunAsRanks(2,
                          [](Collective& group) {
                            float data[2] = {};
                            (void)group.AllReduceSum(
                                TensorView(data, {1 + group.rank()}));
                          }),
               "AllReduceSum of [12] f32, another in AllReduceSum of [12] f32");
}

TEST(CollectiveDeathTest, BugsOfTheCallerAreChecked) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  SingleProcessCollective group;
  float data[4] = {};
  TensorView strided(data, {2});
  strided.stride[0] = 2;
  EXPECT_DEATH((void)group.AllReduceSum(strided), "strided view");
  int64_t whole[2] = {};
  EXPECT_DEATH((void)group.AllReduceSum(TensorView(whole, {2})),
               "reduction of i64");
  const TensorView all(data, {4});
  EXPECT_DEATH((void)group.AllGather(TensorView(data, {3}), {3}, all),
               "\\(3 vs 4\\)");
  EXPECT_DEATH((void)group.Send(all, 0), "a message to oneself");
  EXPECT_DEATH((void)group.Broadcast(all, 1), "rank 1 of 1");
}

TEST(Traffic, EvenCountsCoverEverythingInOrder) {
  for (const int size : {1, 2, 3, 7}) {
    for (const int64_t n : {0, 1, 6, 7, 8, 100}) {
      const std::vector<int64_t> counts = EvenCounts(n, size);
      int64_t begin = 0;
      for (int r = 0; r < size; ++r) {
        EXPECT_EQ(EvenBegin(n, size, r), begin);
        EXPECT_EQ(EvenCount(n, size, r), counts[r]);
        EXPECT_LE(std::abs(counts[r] - counts[0]), 1);
        begin += counts[r];
      }
      EXPECT_EQ(begin, n);
    }
  }
}

TEST(Traffic, IsWhatTheOperationsMove) {
  // 2 n (P - 1) / P of 120 elements of 4 bytes.
  EXPECT_EQ(AllReduceTraffic(120, 4, 0, 1), 0);
  EXPECT_EQ(AllReduceTraffic(120, 4, 1, 2), 480);
  EXPECT_EQ(AllReduceTraffic(120, 4, 1, 3), 640);
  EXPECT_EQ(AllReduceTraffic(120, 4, 3, 4), 720);
  // Together the ranks send 2 (P - 1) n elements, however uneven.
  uint64_t sum = 0;
  for (int r = 0; r < 5; ++r) sum += AllReduceTraffic(7, 2, r, 5);
  EXPECT_EQ(sum, 2 * 4 * 7 * 2);
  EXPECT_EQ(ReduceScatterTraffic({3, 0, 5}, 4, 0), 20);
  EXPECT_EQ(ReduceScatterTraffic({3, 0, 5}, 4, 1), 32);
  EXPECT_EQ(AllGatherTraffic({3, 0, 5}, 4, 2), 40);
  EXPECT_EQ(AllGatherTraffic({3, 0, 5}, 4, 1), 0);
  // Every rank but the root receives once.
  for (const int size : {1, 2, 3, 6, 8, 13}) {
    for (int root = 0; root < size; ++root) {
      uint64_t sent = 0;
      for (int r = 0; r < size; ++r) {
        sent += BroadcastTraffic(10, root, r, size);
      }
      EXPECT_EQ(sent, 10u * (size - 1));
    }
  }
  EXPECT_EQ(BroadcastTraffic(10, 2, 2, 6), 30);  // to 3, 4 and 0
}

TEST(ReduceInOrder, SumsFromLeftToRightAndRoundsOnce) {
  // From the left 1e8 is lost to nothing; from the right 3 + -1e8 is rounded.
  const float a = 1e8f, b = -1e8f, c = 3;
  float sum = 0;
  ReduceInOrder(Reduction::kSum, DType::kF32, {&a, &b, &c}, 1, &sum);
  EXPECT_EQ(sum, 3);
  ReduceInOrder(Reduction::kSum, DType::kF32, {&c, &a, &b}, 1, &sum);
  EXPECT_EQ(sum, 0);
  // 256 + 1 + 1 in bf16 (8 bits): rounded at each step it stays 256.
  const uint16_t large = Bf16FromFloat(256), one = Bf16FromFloat(1);
  uint16_t total = 0;
  ReduceInOrder(Reduction::kSum, DType::kBF16, {&large, &one, &one}, 1, &total);
  EXPECT_EQ(FloatFromBf16(total), 258);
}

}  // namespace
}  // namespace caracal
