#include "jobs/bench/memory.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/base/status_matchers.h"
#include "jobs/bench/synthetic_weights.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kGibibyte = uint64_t{1} << 30;

TEST(MemoryTest, ReadsWhatTheKernelEstimates) {
  EXPECT_EQ(MemAvailable("MemTotal:  8000 kB\nMemAvailable:    1234 kB\n"),
            1234u * 1024);
  constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(MemAvailable(""), kUnknown);
  EXPECT_EQ(MemAvailable("MemAvailable: much\n"), kUnknown);
  EXPECT_GT(AvailableMemoryBytes(), 0u);
}

TEST(MemoryTest, CountsTheWeights) {
  ASSERT_OK_AND_ASSIGN(const auto model, SyntheticModel("135m"));
  EXPECT_EQ(DenseWeightBytes(*model), 134515008u * 4);
}

TEST(MemoryTest, RefusesWhatCannotFitNamingBothNumbers) {
  ASSERT_OK_AND_ASSIGN(const auto large, SyntheticModel("8b"));
  EXPECT_THAT(CheckWeightsFit("--shape 8b", *large, 16 * kGibibyte),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("--shape 8b: the weights alone take "
                                       "29.9 GiB in fp32"),
                             HasSubstr("16.0 GiB of memory"))));
  EXPECT_OK(CheckWeightsFit("--shape 8b", *large, 32 * kGibibyte));
}

}  // namespace
}  // namespace caracal
