// Ranks that are processes, as those of a gang are: what threads of one process
// cannot show is a peer that is killed. Needs two GPUs of one machine.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "core/collective/collective_testing.h"
#include "dist/nccl/nccl_collective.h"
#include "dist/nccl/nccl_testing.h"
#include "kernels/common/cuda_check.h"

namespace caracal {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr int kNoGpus = 77;       // exit status
constexpr int kMostSeconds = 45;  // of a process: hung ones end

// The host's part of a group of two, over a socket.
class SocketControl : public SingleProcessCollective {
 public:
  SocketControl(int rank, int socket) : rank_(rank), socket_(socket) {}
  int rank() const override { return rank_; }
  int size() const override { return 2; }
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override {
    if (bytes == 0) return absl::OkStatus();  // recv would wait for a byte
    char* const to = static_cast<char*>(all);
    if (send(socket_, mine, bytes, MSG_NOSIGNAL) !=
            static_cast<ssize_t>(bytes) ||
        recv(socket_, to + (1 - rank_) * bytes, bytes, MSG_WAITALL) !=
            static_cast<ssize_t>(bytes)) {
      return absl::UnavailableError(
          absl::StrCat("rank ", 1 - rank_, " is gone"));
    }
    std::memcpy(to + rank_ * bytes, mine, bytes);
    return absl::OkStatus();
  }
  absl::Status Barrier() override {
    char all[2];
    return AllGatherBytes("", 1, all);
  }

 private:
  const int rank_, socket_;
};

// Calls `work` in two new processes, each with a GPU and a stream. Returns how
// they ended, or skips the test.
void RunAsProcesses(
    const std::function<void(Collective& control, cudaStream_t stream)>& work,
    int (&status)[2]) {
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  pid_t processes[2];
  for (int rank = 0; rank < 2; ++rank) {
    processes[rank] = fork();
    ASSERT_GE(processes[rank], 0);
    if (processes[rank] > 0) continue;
    close(sockets[1 - rank]);
    alarm(kMostSeconds);
    int gpus = 0;
    if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus < 2) _exit(kNoGpus);
    CARACAL_CUDA_CHECK(cudaSetDevice(rank));
    cudaStream_t stream = nullptr;
    CARACAL_CUDA_CHECK(
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    SocketControl control(rank, sockets[rank]);
    work(control, stream);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  for (const int s : sockets) close(s);
  for (int rank = 0; rank < 2; ++rank) {
    ASSERT_EQ(waitpid(processes[rank], &status[rank], 0), processes[rank]);
  }
}

bool NoGpus(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == kNoGpus;
}

TEST(NcclProcesses, DoEverything) {
  int status[2];
  RunAsProcesses(
      [](Collective& control, cudaStream_t stream) {
        auto group = NcclCollective::Create(&control, stream, "pair of GPUs",
                                            absl::Seconds(30));
        ASSERT_OK(group.status());
        ThroughDevice through(group->get());
        collective_testing::CheckEverything(through, 3000001,
                                            /*nan_wins=*/false);
      },
      status);
  if (NoGpus(status[0])) GTEST_SKIP() << "for two GPUs";
  EXPECT_EQ(status[0], 0);
  EXPECT_EQ(status[1], 0);
}

TEST(NcclProcesses, AKilledPeerEndsTheGroup) {
  int status[2];
  RunAsProcesses(
      [](Collective& control, cudaStream_t stream) {
        auto group = NcclCollective::Create(&control, stream, "pair of GPUs",
                                            absl::Seconds(3));
        ASSERT_OK(group.status());
        const float one[1] = {1};
        const DeviceCopy copy(ConstTensorView(one, {1}));
        ASSERT_OK((*group)->AllReduceSum(copy.view()));
        ASSERT_OK((*group)->Barrier());
        if (control.rank() == 1) raise(SIGKILL);
        const absl::Time begin = absl::Now();
        absl::Status broken = (*group)->AllReduceSum(copy.view());
        if (broken.ok()) broken = (*group)->Synchronize();
        const auto where = HasSubstr("on rank 0 of 2 of the pair of GPUs");
        EXPECT_THAT(
            broken,
            AnyOf(StatusIs(absl::StatusCode::kUnavailable, where),
                  StatusIs(absl::StatusCode::kDeadlineExceeded, where)));
        EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
        // It stays broken, and nobody waits for the peer again.
        EXPECT_EQ((*group)->Barrier(), broken);
        EXPECT_EQ((*group)->AllReduceSum(copy.view()), broken);
        group->reset();
        EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
        // The device can be used further.
        float back[1] = {0};
        copy.To(TensorView(back, {1}));
      },
      status);
  if (NoGpus(status[0])) GTEST_SKIP() << "for two GPUs";
  EXPECT_EQ(status[0], 0);
  EXPECT_TRUE(WIFSIGNALED(status[1]) && WTERMSIG(status[1]) == SIGKILL);
}

}  // namespace
}  // namespace caracal
