// Counts heap allocations of whole optimiser steps: none after the second. A
// binary of its own, because it replaces malloc.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>

#include "core/base/status_matchers.h"
#include "jobs/train/stage_runner.h"
#include "tests/training/tiny_training.h"

namespace {
std::atomic<long> allocations{0};
}

// Sanitizers bring their own malloc, which must stay.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounting = false;
#else
constexpr bool kCounting = true;
extern "C" {
void* __libc_malloc(size_t);
void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
}
#endif

namespace caracal {
namespace {

class StepAllocation : public testing::TestWithParam<int> {};

TEST_P(StepAllocation, NoneAfterTheSecondStep) {
  ASSERT_OK_AND_ASSIGN(const auto training, TinyTraining::Make("lolcats", 4));
  const auto runner =
      MakeStageRunner(training->job().stages(GetParam()), training->job(),
                      &training->llama(), training->exec(), /*micro_batch=*/2);
  const auto step = [&](int64_t i) {
    ASSERT_OK(training->Fill(i));
    const auto result =
        runner->Step(training->batch(), {.learning_rate = 1e-3});
    ASSERT_OK(result);
  };
  for (int64_t i = 0; i < 2; ++i) step(i);
  const long before = allocations;
  for (int64_t i = 2; i < 6; ++i) step(i);
  EXPECT_EQ(allocations - before, 0);
}

INSTANTIATE_TEST_SUITE_P(Stages, StepAllocation, testing::Values(0, 1),
                         [](const auto& info) {
                           return info.param == 0 ? "transfer" : "finetune";
                         });

TEST(StepAllocation, TheCounterCounts) {
  const long before = allocations;
  // Through a volatile pointer, or the compiler drops the pair.
  void* volatile block = std::malloc(10);
  std::free(block);
  EXPECT_EQ(allocations - before, kCounting ? 1 : 0);
}

}  // namespace
}  // namespace caracal
