#include "kernels/common/thread_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace caracal {
namespace {

TEST(ThreadPool, EveryIndexRunsOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> hits(count);
      pool.ParallelFor(count, [&](int64_t i, int thread) {
        EXPECT_LT(thread, threads);
        ++hits[i];
      });
      for (auto& h : hits) EXPECT_EQ(h, 1);
    }
  }
}

TEST(ThreadPool, RangesCoverAndRespectGrain) {
  ThreadPool pool(3);
  for (int64_t count : {0, 1, 5, 64, 65, 1000}) {
    std::vector<std::atomic<int>> hits(count);
    pool.ParallelRanges(count, 16, [&](int64_t begin, int64_t end, int) {
      EXPECT_EQ(begin % 16, 0);
      for (int64_t i = begin; i < end; ++i) ++hits[i];
    });
    for (auto& h : hits) EXPECT_EQ(h, 1);
  }
}

TEST(ThreadPool, NestedCallsRunSerially) {
  ThreadPool pool(2);
  std::atomic<int> total{0};
  pool.ParallelFor(4, [&](int64_t, int) {
    pool.ParallelFor(5, [&](int64_t, int) { ++total; });
  });
  EXPECT_EQ(total, 20);
}

TEST(ThreadPool, ManySmallLoops) {
  ThreadPool pool(4);
  int64_t sum = 0;
  std::vector<int64_t> parts(3);
  for (int round = 0; round < 5000; ++round) {
    pool.ParallelFor(3, [&](int64_t i, int) { parts[i] = i + round; });
    for (int64_t p : parts) sum += p;
  }
  EXPECT_EQ(sum, 3 * (4999 * 5000 / 2) + 5000 * 3);
}

}  // namespace
}  // namespace caracal
