// Counts heap allocations of whole optimiser steps: none after the second. A
// binary of its own, because it replaces malloc.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "core/base/status_matchers.h"
#include "jobs/train/make_stage_runner.h"
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
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* block, size_t bytes) {
  ++allocations;
  return __libc_realloc(block, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  return memalign(alignment, bytes);
}
int posix_memalign(void** block, size_t alignment, size_t bytes) {
  *block = memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}
}
#endif

namespace caracal {
namespace {

struct StageCase {
  const char* name;
  const char* preset;
  int stage;
};

class StepAllocation : public testing::TestWithParam<StageCase> {};

TEST_P(StepAllocation, NoneAfterTheSecondStep) {
  ASSERT_OK_AND_ASSIGN(const auto training,
                       TinyTraining::Make(GetParam().preset, 4));
  const auto runner =
      MakeStageRunner(training->job().stages(GetParam().stage), training->job(),
                      &training->llama(), training->exec(), &training->gang(),
                      /*micro_batch=*/2);
  const auto step = [&](int64_t i) {
    ASSERT_OK(training->Fill(i));
    const auto result = runner->Step(
        training->batch(),
        {.learning_rate = 1e-3, .global_step = i, .drop_probability = 0.5});
    ASSERT_OK(result);
  };
  for (int64_t i = 0; i < 2; ++i) step(i);
  const long before = allocations;
  for (int64_t i = 2; i < 6; ++i) step(i);
  EXPECT_EQ(allocations - before, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Stages, StepAllocation,
    testing::Values(StageCase{"transfer_mse", "lolcats", 0},
                    StageCase{"transfer_xent", "hedgehog", 0},
                    StageCase{"finetune", "lolcats", 1},
                    StageCase{"finetune_with_drops", "ssd", 1}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(StepAllocation, TheCounterCounts) {
  const long before = allocations;
  // Through a volatile pointer, or the compiler drops the pair.
  void* volatile block = std::malloc(10);
  block = std::realloc(block, 2000);
  std::free(block);
  block = std::calloc(3, 5);
  std::free(block);
  block = std::aligned_alloc(64, 128);
  std::free(block);
  EXPECT_EQ(allocations - before, kCounting ? 4 : 0);
}

}  // namespace
}  // namespace caracal
