// Needs two GPUs of one machine; the ranks are threads, one a GPU.
#include "dist/nccl/nccl_collective.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <memory>

#include "core/base/status_matchers.h"
#include "core/collective/collective_testing.h"
#include "core/collective/thread_collective.h"
#include "dist/nccl/nccl_testing.h"
#include "kernels/common/cuda_check.h"

namespace caracal {
namespace {

constexpr int kRanks = 2;

TEST(NcclCollective, DoesEverythingOnTwoGpus) {
  int gpus = 0;
  CARACAL_CUDA_CHECK(cudaGetDeviceCount(&gpus));
  if (gpus < kRanks) GTEST_SKIP() << "for two GPUs; here: " << gpus;
  RunAsRanks(kRanks, [](Collective& control) {
    CARACAL_CUDA_CHECK(cudaSetDevice(control.rank()));
    cudaStream_t stream = nullptr;
    CARACAL_CUDA_CHECK(
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    auto group = NcclCollective::Create(&control, stream, "pair of GPUs",
                                        absl::Seconds(30));
    ASSERT_OK(group.status());
    ThroughDevice through(group->get());
    // Of two ranks there is one order, and one rounding.
    collective_testing::CheckEverything(through, 3000001, /*nan_wins=*/false);
    group->reset();
    CARACAL_CUDA_CHECK(cudaStreamDestroy(stream));
  });
}

TEST(NcclCollective, AGroupWhosePeerDoesNotComeEnds) {
  int gpus = 0;
  CARACAL_CUDA_CHECK(cudaGetDeviceCount(&gpus));
  if (gpus < kRanks) GTEST_SKIP() << "for two GPUs; here: " << gpus;
  RunAsRanks(kRanks, [](Collective& control) {
    CARACAL_CUDA_CHECK(cudaSetDevice(control.rank()));
    cudaStream_t stream = nullptr;
    CARACAL_CUDA_CHECK(
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    auto group = NcclCollective::Create(&control, stream, "pair of GPUs",
                                        absl::Milliseconds(500));
    ASSERT_OK(group.status());
    const float one[1] = {1};
    const DeviceCopy copy(ConstTensorView(one, {1}));
    // The first one connects the peers, which nothing but both can.
    ASSERT_OK((*group)->AllReduceSum(copy.view()));
    ASSERT_OK((*group)->Barrier());
    if (control.rank() == 0) {
      ASSERT_OK((*group)->AllReduceSum(copy.view()));
      const absl::Status status = (*group)->Synchronize();
      EXPECT_THAT(status,
                  StatusIs(absl::StatusCode::kDeadlineExceeded,
                           testing::HasSubstr(
                               "in Synchronize on rank 0 of 2 of the pair")));
      EXPECT_EQ((*group)->Barrier(), status);  // It is unusable.
    }
    EXPECT_OK(control.Barrier());
  });
}

}  // namespace
}  // namespace caracal
