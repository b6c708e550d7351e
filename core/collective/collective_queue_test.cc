#include "core/collective/collective_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"

namespace caracal {
namespace {

using testing::HasSubstr;

// `work` on one thread a rank, each with the group of its own and a queue on
// another group of the same ranks.
void RunWithQueues(
    int size, const std::function<void(Collective&, CollectiveQueue&)>& work) {
  ThreadGroup behind(size);
  RunAsRanks(size, [&](Collective& group) {
    ThreadCollectiveQueue queue(behind.Join(group.rank()));
    work(group, queue);
  });
}

TEST(CollectiveQueue, RunsBesideTheCallersOwnGroup) {
  constexpr int kBuckets = 40, kElements = 257;
  RunWithQueues(3, [](Collective& group, CollectiveQueue& queue) {
    std::vector<float> gradients(kBuckets * kElements);
    for (int round = 0; round < 3; ++round) {
      std::vector<float> activations(31);
      for (int bucket = 0; bucket < kBuckets; ++bucket) {
        float* mine = &gradients[bucket * kElements];
        std::fill_n(mine, kElements, (bucket + round) * (group.rank() + 1));
        queue.Start([mine](Collective& behind) {
          return behind.AllReduceSum(TensorView(mine, {kElements}));
        });
        // The caller's group is free for the model meanwhile.
        activations.assign(31, group.rank() - bucket);
        EXPECT_OK(group.AllReduceSum(TensorView(activations.data(), {31})));
        EXPECT_EQ(activations[30], 3 - 3 * bucket);
      }
      EXPECT_OK(queue.Wait());
      for (int i = 0; i < kBuckets * kElements; ++i) {
        ASSERT_EQ(gradients[i], 6 * (i / kElements + round)) << i;
      }
    }
    EXPECT_EQ(queue.collective().size(), 3);
    EXPECT_GT(queue.collective().traffic(), 0);
  });
}

TEST(CollectiveQueue, RunsInTheOrderOfStart) {
  std::vector<int> order;
  ThreadCollectiveQueue queue(std::make_unique<SingleProcessCollective>());
  EXPECT_OK(queue.Wait());  // Nothing to wait for.
  for (int i = 0; i < 100; ++i) {
    queue.Start([&order, i](Collective&) {
      order.push_back(i);
      return absl::OkStatus();
    });
  }
  EXPECT_OK(queue.Wait());
  ASSERT_EQ(order.size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(CollectiveQueue, RunsNothingAfterAnErrorAndKeepsIt) {
  ThreadCollectiveQueue queue(std::make_unique<SingleProcessCollective>());
  bool ran = false;
  queue.Start([](Collective&) { return absl::UnavailableError("rank 3"); });
  queue.Start([&](Collective&) {
    ran = true;
    return absl::InternalError("rank 4");
  });
  const auto is_first_error =
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("rank 3"));
  EXPECT_THAT(queue.Wait(), is_first_error);
  EXPECT_FALSE(ran);
  queue.Start([&](Collective&) {
    ran = true;
    return absl::OkStatus();
  });
  EXPECT_THAT(queue.Wait(), is_first_error);
  EXPECT_FALSE(ran);
}

TEST(CollectiveQueue, FinishesWhatIsQueuedBeforeItEnds) {
  int ran = 0;
  {
    ThreadCollectiveQueue queue(std::make_unique<SingleProcessCollective>());
    for (int i = 0; i < 20; ++i) {
      queue.Start([&](Collective&) {
        ++ran;
        return absl::OkStatus();
      });
    }
  }
  EXPECT_EQ(ran, 20);
}

}  // namespace
}  // namespace caracal
