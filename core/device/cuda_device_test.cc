#include <cuda.h>
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <numeric>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/steady_condition.h"
#include "core/device/open_cuda.h"
#include "kernels/common/cuda_driver.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK_AND_ASSIGN(device_, OpenCuda()); }

  std::unique_ptr<Device> device_;
};

std::vector<int32_t> Counting(int64_t size) {
  std::vector<int32_t> values(size);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// More than the staging memory holds, there and back, by way of a copy.
TEST_F(CudaDeviceTest, LargeCopiesArriveWhole) {
  constexpr int64_t kSize = (int64_t{9} << 20) + 7;
  std::vector<int32_t> values = Counting(kSize), back(kSize);
  ASSERT_OK_AND_ASSIGN(const Tensor a, device_->Allocate(DType::kI32, {kSize}));
  ASSERT_OK_AND_ASSIGN(const Tensor b, device_->Allocate(DType::kI32, {kSize}));
  device_->Upload(values.data(), a.bytes(), a.view().data);
  const std::vector<int32_t> expected = values;
  // The upload has taken them.
  std::fill(values.begin(), values.end(), -1);
  device_->SetZero(b.view().data, b.bytes());
  device_->Copy(a.view().data, a.bytes() - 4, b.view().data);
  device_->Download(b.view().data, b.bytes(), back.data());
  ASSERT_OK(device_->Wait());
  EXPECT_EQ(back.back(), 0);
  back.back() = expected.back();
  EXPECT_TRUE(back == expected);
}

TEST_F(CudaDeviceTest, RowsLieApart) {
  constexpr int64_t kRows = 5000, kColumns = 1000, kStride = 1008;
  const std::vector<int32_t> values = Counting(kRows * kColumns);
  ASSERT_OK_AND_ASSIGN(const Tensor to,
                       device_->Allocate(DType::kI32, {kRows, kStride}));
  device_->SetZero(to.view().data, to.bytes());
  device_->UploadRows(values.data(), kColumns * 4, kRows, to.view().data,
                      kStride * 4);
  std::vector<int32_t> back(kRows * kStride);
  device_->Download(to.view().data, to.bytes(), back.data());
  ASSERT_OK(device_->Wait());
  for (int64_t i = 0; i < kRows * kStride; ++i) {
    const int64_t row = i / kStride, column = i % kStride;
    ASSERT_EQ(back[i], column < kColumns ? row * kColumns + column : 0) << i;
  }
}

TEST_F(CudaDeviceTest, StepMemoryGrowsOnceAndKeepsItsPlace) {
  Arena& arena = device_->arena();
  void* first = nullptr;
  uint64_t peak = 0;
  for (int round = 0; round < 3; ++round) {
    arena.Reset();
    void* small = arena.Allocate(100);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 256, 0u);
    const TensorView large = arena.Allocate(DType::kI32, {int64_t{40} << 20});
    device_->SetZero(large.data, large.size() * 4);
    if (round == 0) {
      first = large.data;
      peak = device_->peak_bytes();
      EXPECT_GE(peak, uint64_t{160} << 20);
    }
    EXPECT_EQ(large.data, first);
    EXPECT_EQ(device_->peak_bytes(), peak);
  }
  EXPECT_OK(device_->Wait());
}

TEST_F(CudaDeviceTest, SaysThatMemoryRanOut) {
  EXPECT_THAT(
      device_->Allocate(DType::kU8, {int64_t{1} << 45}),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("are free")));
  EXPECT_TRUE(device_->ok());
  EXPECT_OK(device_->Wait());
  // All there is, which nobody leaves, and more than any GPU has.
  for (const uint64_t bytes : {device_->total_bytes(), uint64_t{1} << 50}) {
    void* beyond = device_->arena().Allocate(bytes);
    EXPECT_FALSE(device_->ok());
    // Goes nowhere.
    device_->SetZero(beyond, 100);
  }
  EXPECT_THAT(device_->Wait(), StatusIs(absl::StatusCode::kResourceExhausted,
                                        HasSubstr("out of GPU memory")));
}

// Nothing runs while it is recorded; then it runs as often as it is launched.
TEST_F(CudaDeviceTest, RecordedWorkRunsWhenItIsLaunched) {
  constexpr int64_t kSize = 100;
  const std::vector<int32_t> values = Counting(kSize);
  std::vector<int32_t> back(kSize);
  ASSERT_OK_AND_ASSIGN(const Tensor a, device_->Allocate(DType::kI32, {kSize}));
  ASSERT_OK_AND_ASSIGN(const Tensor b, device_->Allocate(DType::kI32, {kSize}));
  device_->SetZero(a.view().data, a.bytes());
  device_->SetZero(b.view().data, b.bytes());
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<DeviceGraph> graph,
                       device_->Record([&] {
                         device_->Copy(a.view().data, a.bytes(), b.view().data);
                       }));
  device_->Upload(values.data(), a.bytes(), a.view().data);
  device_->Download(b.view().data, b.bytes(), back.data());
  ASSERT_OK(device_->Wait());
  EXPECT_EQ(back, std::vector<int32_t>(kSize));
  for (int i = 0; i < 2; ++i) {
    graph->Launch();
    device_->Download(b.view().data, b.bytes(), back.data());
    ASSERT_OK(device_->Wait());
    EXPECT_EQ(back, values);
    device_->SetZero(b.view().data, b.bytes());
  }
}

// A stream that stands still, as one does that waits for another rank's GPU:
// for a word of host memory.
class StuckStream {
 public:
  explicit StuckStream(Device* device) {
    void* word = nullptr;
    EXPECT_EQ(cudaHostAlloc(&word, sizeof(uint32_t), cudaHostAllocMapped),
              cudaSuccess);
    word_ = new (word) std::atomic<uint32_t>(0);
    const auto wait =
        kernels::FindDriverFunction<decltype(&cuStreamWaitValue32)>(
            "cuStreamWaitValue32");
    EXPECT_EQ(
        wait(static_cast<CUstream>(device->stream()),
             reinterpret_cast<CUdeviceptr>(word), 1, CU_STREAM_WAIT_VALUE_GEQ),
        CUDA_SUCCESS);
  }
  // What a device left behind ends, too.
  ~StuckStream() {
    Release();
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    cudaFreeHost(word_);
  }
  void Release() { *word_ = 1; }

 private:
  std::atomic<uint32_t>* word_ = nullptr;
};

// Nobody waits for it a second time, whoever gives back what it had.
TEST_F(CudaDeviceTest, WhatStandsStillIsLeftAfterTheLimit) {
  const StuckStream stuck(device_.get());
  device_->set_stall(absl::Milliseconds(100), nullptr);
  {
    ASSERT_OK_AND_ASSIGN(const Tensor kept,
                         device_->Allocate(DType::kI32, {100}));
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Arena> arena,
                         device_->NewArena());
    const auto clear = [&] {
      device_->SetZero(kept.view().data, kept.bytes());
    };
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<DeviceGraph> graph,
                         device_->Record(clear));
    graph->Launch();
    EXPECT_TRUE(device_->ok());
    EXPECT_THAT(device_->Wait(),
                StatusIs(absl::StatusCode::kDeadlineExceeded,
                         HasSubstr("is not done after 100ms")));
    EXPECT_FALSE(device_->ok());
    device_->set_stall(absl::InfiniteDuration(), nullptr);
    EXPECT_TRUE(absl::IsDeadlineExceeded(device_->Wait()));
  }
  device_ = nullptr;
}

// A thread that enqueues blocks once the stream has so much that nothing more
// fits: another one tells.
TEST_F(CudaDeviceTest, BlockedLaunchesAreToldOf) {
  SteadyNotification told;
  absl::Status why;
  StuckStream stuck(device_.get());
  device_->set_stall(absl::Milliseconds(100), [&](const absl::Status& status) {
    why = status;
    told.Notify();
    stuck.Release();
  });
  ASSERT_OK_AND_ASSIGN(const Tensor memory,
                       device_->Allocate(DType::kI32, {100}));
  device_->BeginPass();
  // More than a stream takes: this goes on when the other thread was there.
  for (int i = 0; i < 10'000; ++i) {
    device_->SetZero(memory.view().data, memory.bytes());
  }
  EXPECT_TRUE(told.WaitFor(absl::ZeroDuration()));
  EXPECT_THAT(why, StatusIs(absl::StatusCode::kDeadlineExceeded,
                            HasSubstr("a pass is not over after 200ms")));
  device_->set_stall(absl::InfiniteDuration(), nullptr);
  EXPECT_OK(device_->Wait());
}

// Recordings that follow one another, over points of the one before: launched
// in their order, each whole before the next.
TEST_F(CudaDeviceTest, RecordingsFollowOneAnother) {
  constexpr int64_t kSize = 1 << 20;
  constexpr int kFirst = 0, kSecond = 1;
  const std::vector<int32_t> values = Counting(kSize);
  std::vector<int32_t> back(kSize);
  std::vector<Tensor> t;
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK_AND_ASSIGN(Tensor made, device_->Allocate(DType::kI32, {kSize}));
    t.push_back(std::move(made));
  }
  const auto copy = [&](void* stream, int from, int to) {
    device_->CopyOn(stream, t[from].view().data, t[from].bytes(),
                    t[to].view().data);
  };
  void* const first = device_->stream();
  void* const second = device_->second_stream();
  ASSERT_OK(device_->BeginRecording());
  copy(first, 0, 1);
  device_->Mark(kFirst, first);
  device_->Await(kFirst, second);
  copy(second, 1, 2);
  device_->Mark(kSecond, second);
  // The second stream's work is still to be awaited.
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<DeviceGraph> one,
                       device_->EndRecording());
  ASSERT_OK(device_->BeginRecording());
  device_->Await(kFirst, second);
  copy(second, 2, 3);
  device_->Await(kSecond, first);  // of the recording before: no wait for this
  device_->Mark(kSecond, second);
  device_->Await(kSecond, first);
  copy(first, 3, 4);
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<DeviceGraph> other,
                       device_->EndRecording());
  for (int round = 0; round < 2; ++round) {
    for (const Tensor& x : t) device_->SetZero(x.view().data, x.bytes());
    device_->Upload(values.data(), t[0].bytes(), t[0].view().data);
    one->Launch();
    device_->Download(t[4].view().data, t[4].bytes(), back.data());
    ASSERT_OK(device_->Wait());
    EXPECT_EQ(back, std::vector<int32_t>(kSize));
    other->Launch();
    device_->Download(t[4].view().data, t[4].bytes(), back.data());
    ASSERT_OK(device_->Wait());
    EXPECT_EQ(back, values);
  }
}

// A recording ends with what may not be recorded, and leaves nothing behind:
// what it had by then does not run, later work and later recordings do.
TEST_F(CudaDeviceTest, ARecordingThatFailsLeavesTheDeviceAsItWas) {
  constexpr int64_t kSize = 100;
  const std::vector<int32_t> values = Counting(kSize);
  ASSERT_OK_AND_ASSIGN(const Tensor a, device_->Allocate(DType::kI32, {kSize}));
  ASSERT_OK_AND_ASSIGN(const Tensor b, device_->Allocate(DType::kI32, {kSize}));
  const auto copy = [&] {
    device_->Copy(a.view().data, a.bytes(), b.view().data);
  };
  const auto result = [&] {
    std::vector<int32_t> back(kSize, -1);
    device_->Download(b.view().data, b.bytes(), back.data());
    EXPECT_OK(device_->Wait());
    return back;
  };
  device_->Upload(values.data(), a.bytes(), a.view().data);
  ASSERT_OK(device_->Wait());
  // The device remembers the error of the first, nobody that of the second.
  const std::vector<std::function<bool()>> illegal = {
      [&] { return device_->Wait().ok(); },
      [&] {
        void* memory = nullptr;
        return cudaMalloc(&memory, 100) == cudaSuccess;
      }};
  for (size_t i = 0; i < illegal.size(); ++i) {
    SCOPED_TRACE(absl::StrCat("illegal call ", i));
    device_->SetZero(b.view().data, b.bytes());
    EXPECT_THAT(device_
                    ->Record([&] {
                      copy();
                      EXPECT_FALSE(illegal[i]());
                    })
                    .status(),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr("recording a graph failed")));
    // Or the next kernel's launch would seem to have failed.
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
    EXPECT_TRUE(device_->ok());
    EXPECT_EQ(result(), std::vector<int32_t>(kSize));
    copy();
    EXPECT_EQ(result(), values);
    device_->SetZero(b.view().data, b.bytes());
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<DeviceGraph> graph,
                         device_->Record(copy));
    graph->Launch();
    EXPECT_EQ(result(), values);
  }
}

}  // namespace
}  // namespace caracal
