#include "jobs/model/choose_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::EndsWith;

// A model that GPUs run, but for its hidden size.
ModelConfig Model(int64_t hidden) {
  ModelConfig model;
  model.hidden_size = hidden;
  model.intermediate_size = 128;
  model.head_dim = 64;
  return model;
}

TEST(ChooseDeviceTest, TheCpuIsAlwaysThere) {
  for (const int64_t hidden : {64, 66}) {
    Compute compute(1);
    EXPECT_OK(ChooseDevice("cpu", Model(hidden), &compute));
    EXPECT_EQ(compute.device(), nullptr);
  }
}

// On machines with and without a GPU.
TEST(ChooseDeviceTest, AutoTakesAGpuThatRunsTheModel) {
  Compute odd(1), even(1);
  EXPECT_OK(ChooseDevice("auto", Model(66), &odd));
  EXPECT_EQ(odd.device(), nullptr);
  EXPECT_OK(ChooseDevice("auto", Model(64), &even));
  EXPECT_EQ(even.device() != nullptr, FindCuda().ok());
}

TEST(ChooseDeviceTest, CudaIsThereOrToldNotToBe) {
  Compute compute(1);
  const absl::Status status = ChooseDevice("cuda", Model(64), &compute);
  EXPECT_EQ(status, FindCuda());
  EXPECT_EQ(CheckDevice("cuda"), FindCuda());
  EXPECT_EQ(compute.device() != nullptr, status.ok());
  EXPECT_THAT(std::string(ChooseDevice("cuda", Model(66), &compute).message()),
              EndsWith("choose the device cpu"));
}

TEST(ChooseDeviceTest, OtherNamesAreRefused) {
  Compute compute(1);
  const absl::Status refused = ChooseDevice("gpu", Model(64), &compute);
  EXPECT_THAT(refused,
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "--device: there is no 'gpu'; use cpu, cuda or auto"));
  EXPECT_EQ(CheckDevice("gpu"), refused);
}

TEST(ChooseDeviceTest, WithoutAModelOnlyAMissingGpuIsRefused) {
  EXPECT_OK(CheckDevice("cpu"));
  EXPECT_OK(CheckDevice("auto"));
}

}  // namespace
}  // namespace caracal
