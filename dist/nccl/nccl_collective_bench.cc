// Times of collective operations between the GPUs of one machine, a thread a
// GPU:
//   bazel-bin/dist/nccl/nccl_collective_bench [GPUS]
//
// `bytes` is the whole tensor: what an all-reduce sums, what an all-gather has
// at its end, a reduce-scatter at its beginning, a message. Bus bandwidth is
// what a link carries in one direction: bytes times 2 (n - 1) / n for an
// all-reduce of n ranks, (n - 1) / n for its halves, 1 for a message.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "core/base/status.h"
#include "core/collective/thread_collective.h"
#include "core/collective/traffic.h"
#include "dist/nccl/nccl_collective.h"
#include "kernels/common/cuda_check.h"

namespace caracal {
namespace {

constexpr int kRepeats = 21;

// Of the calls on one rank's stream.
class Clock {
 public:
  explicit Clock(cudaStream_t stream) : stream_(stream) {
    CARACAL_CUDA_CHECK(cudaEventCreate(&begin_));
    CARACAL_CUDA_CHECK(cudaEventCreate(&end_));
  }
  // Microseconds of one of `calls` calls in a row, begun together: the
  // quickest, the median and the slowest row.
  std::vector<double> Times(NcclCollective& group, int calls,
                            const std::function<absl::Status()>& call) {
    std::vector<double> times;
    for (int i = 0; i < kRepeats + 2; ++i) {
      CARACAL_CHECK_OK(group.Barrier());
      CARACAL_CUDA_CHECK(cudaEventRecord(begin_, stream_));
      for (int j = 0; j < calls; ++j) CARACAL_CHECK_OK(call());
      CARACAL_CUDA_CHECK(cudaEventRecord(end_, stream_));
      CARACAL_CHECK_OK(group.Synchronize());
      float ms = 0;
      CARACAL_CUDA_CHECK(cudaEventElapsedTime(&ms, begin_, end_));
      if (i >= 2) times.push_back(ms * 1e3 / calls);
    }
    std::sort(times.begin(), times.end());
    return {times.front(), times[times.size() / 2], times.back()};
  }

 private:
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

void Run(Collective& control) {
  const int rank = control.rank(), size = control.size();
  CARACAL_CUDA_CHECK(cudaSetDevice(rank));
  cudaStream_t stream = nullptr;
  CARACAL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  auto created =
      NcclCollective::Create(&control, stream, "bench", absl::Seconds(60));
  CARACAL_CHECK_OK(created.status());
  NcclCollective& group = **created;
  Clock clock(stream);
  constexpr int64_t kLargest = int64_t{256} << 20;
  void* memory = nullptr;
  CARACAL_CUDA_CHECK(cudaMalloc(&memory, kLargest));
  CARACAL_CUDA_CHECK(cudaMemset(memory, 0, kLargest));
  if (rank == 0) {
    cudaDeviceProp device;
    CARACAL_CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
    std::printf(
        "%d x %s, bf16; us a call: quickest, median, slowest; bus GB/s of the "
        "median\n",
        size, device.name);
  }
  const double share = static_cast<double>(size - 1) / size;
  for (const int64_t bytes :
       {int64_t{4}, int64_t{4} << 10, int64_t{64} << 10, int64_t{256} << 10,
        int64_t{1} << 20, int64_t{4} << 20, int64_t{16} << 20,
        int64_t{32} << 20, int64_t{64} << 20, int64_t{128} << 20, kLargest}) {
    const int calls = bytes <= 1 << 20 ? 50 : 10;
    const TensorView all(memory, DType::kBF16, {bytes / 2});
    const std::vector<int64_t> counts = EvenCounts(bytes / 2, size);
    const TensorView mine(
        static_cast<char*>(memory) + 2 * EvenBegin(bytes / 2, size, rank),
        DType::kBF16, {counts[rank]});
    const auto report = [&](const char* name, double factor,
                            const std::vector<double>& us) {
      if (rank != 0) return;
      std::printf("%-15s %9lld bytes %9.1f %9.1f %9.1f us %7.1f GB/s\n", name,
                  static_cast<long long>(bytes), us[0], us[1], us[2],
                  bytes * factor * 1e-3 / us[1]);
    };
    report("all-reduce", 2 * share,
           clock.Times(group, calls, [&] { return group.AllReduceSum(all); }));
    report("reduce-scatter", share, clock.Times(group, calls, [&] {
      return group.ReduceScatterSum(all, counts, mine);
    }));
    report("all-gather", share, clock.Times(group, calls, [&] {
      return group.AllGather(mine, counts, all);
    }));
    if (size < 2) continue;
    // From rank 0 to rank 1; others look on.
    report("message", 1, clock.Times(group, calls, [&] {
      if (rank == 0) return group.Send(all, 1);
      if (rank == 1) return group.Receive(all, 0);
      return absl::OkStatus();
    }));
  }
  created->reset();
  CARACAL_CUDA_CHECK(cudaFree(memory));
  CARACAL_CUDA_CHECK(cudaStreamDestroy(stream));
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  caracal::RunAsRanks(argc > 1 ? std::atoi(argv[1]) : 2, caracal::Run);
}
