// Ranks that are processes, as those of a gang are: what threads of one process
// cannot show is a peer that is killed. Needs two GPUs of one machine.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "core/collective/collective_testing.h"
#include "dist/nccl/nccl_collective.h"
#include "dist/nccl/nccl_testing.h"
#include "dist/nccl/peer_exchange.h"
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

// `count` bytes that only this round's piece of `from` for `to` has.
std::vector<char> PieceOf(int round, int from, int to, size_t count) {
  std::vector<char> bytes(count);
  for (size_t i = 0; i < count; ++i) {
    bytes[i] = static_cast<char>(i * 7 + round * 31 + from * 3 + to + (i >> 9));
  }
  return bytes;
}

// Sends this round's piece and queues the copy of the other's to `got`.
absl::Status Round(PeerExchange& exchange, int rank, uint64_t most,
                   ConstTensorView piece, size_t bytes, cudaStream_t stream,
                   void* got) {
  RETURN_IF_ERROR(exchange.Begin(most));
  RETURN_IF_ERROR(exchange.Send(piece, 1 - rank));
  ASSIGN_OR_RETURN(void* const theirs, exchange.Receive(1 - rank));
  CARACAL_CUDA_CHECK(
      cudaMemcpyAsync(got, theirs, bytes, cudaMemcpyDeviceToDevice, stream));
  return exchange.End();
}

TEST(PeerExchange, BringsEveryPieceOfManyRounds) {
  int status[2];
  RunAsProcesses(
      [](Collective& control, cudaStream_t stream) {
        const int rank = control.rank();
        auto exchange = PeerExchange::Create(&control, stream, "pair of GPUs",
                                             absl::Seconds(30));
        ASSERT_OK(exchange.status());
        // The inbox grows on the way; uneven pieces, empty ones too.
        constexpr size_t kMost[] = {1, 4096, 3000001};
        constexpr int kRounds = 300;  // at each size
        uint64_t sent = 0;
        for (const size_t most : kMost) {
          std::vector<std::unique_ptr<DeviceCopy>> pieces, got;
          const auto size_of = [&](int round, int from) {
            return from == 0 ? most : most * (round % 5) / 4 * (round % 3) / 2;
          };
          for (int round = 0; round < kRounds; ++round) {
            std::vector<char> piece =
                PieceOf(round, rank, 1 - rank, size_of(round, rank));
            const size_t theirs = size_of(round, 1 - rank);
            std::vector<char> nothing(theirs, 0x55);
            const auto view = [](std::vector<char>& bytes) {
              return TensorView(bytes.data(), DType::kU8,
                                {static_cast<int64_t>(bytes.size())});
            };
            pieces.push_back(std::make_unique<DeviceCopy>(view(piece)));
            got.push_back(std::make_unique<DeviceCopy>(view(nothing)));
            sent += piece.size();
          }
          // One after another, without the host's waiting.
          for (int round = 0; round < kRounds; ++round) {
            ASSERT_OK(Round(**exchange, rank, most, pieces[round]->view(),
                            size_of(round, 1 - rank), stream,
                            got[round]->view().data));
            // What was sent may be written over.
            CARACAL_CUDA_CHECK(cudaMemsetAsync(pieces[round]->view().data, 0xee,
                                               size_of(round, rank), stream));
          }
          CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
          for (int round = 0; round < kRounds; ++round) {
            std::vector<char> bytes(size_of(round, 1 - rank));
            got[round]->To(TensorView(bytes.data(), DType::kU8,
                                      {static_cast<int64_t>(bytes.size())}));
            ASSERT_EQ(bytes, PieceOf(round, 1 - rank, rank, bytes.size()))
                << "round " << round << " of up to " << most << " bytes";
          }
        }
        EXPECT_EQ((*exchange)->traffic(), sent);
      },
      status);
  if (NoGpus(status[0])) GTEST_SKIP() << "for two GPUs";
  EXPECT_EQ(status[0], 0);
  EXPECT_EQ(status[1], 0);
}

TEST(PeerExchange, AKilledPeerEndsIt) {
  int status[2];
  RunAsProcesses(
      [](Collective& control, cudaStream_t stream) {
        const int rank = control.rank();
        auto exchange = PeerExchange::Create(&control, stream, "pair of GPUs",
                                             absl::Seconds(2));
        ASSERT_OK(exchange.status());
        const float one[1] = {1};
        const DeviceCopy piece(ConstTensorView(one, {1})),
            got(ConstTensorView(one, {1}));
        const auto round = [&] {
          return Round(**exchange, rank, 4, piece.view(), 4, stream,
                       got.view().data);
        };
        ASSERT_OK(round());
        CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
        ASSERT_OK(control.Barrier());
        if (rank == 1) raise(SIGKILL);
        const absl::Time begin = absl::Now();
        // It is on the stream, which waits for what does not come.
        ASSERT_OK(round());
        const absl::Status broken = (*exchange)->Begin(5000);
        EXPECT_THAT(broken,
                    StatusIs(absl::StatusCode::kDeadlineExceeded,
                             HasSubstr("on rank 0 of 2 of the pair of GPUs")));
        EXPECT_EQ((*exchange)->Begin(1), broken);
        EXPECT_EQ((*exchange)->Send(piece.view(), 1), broken);
        exchange->reset();
        EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
        // The stream waits no longer.
        CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream));
      },
      status);
  if (NoGpus(status[0])) GTEST_SKIP() << "for two GPUs";
  EXPECT_EQ(status[0], 0);
  EXPECT_TRUE(WIFSIGNALED(status[1]) && WTERMSIG(status[1]) == SIGKILL);
}

TEST(PeerExchange, ThereIsNoneWithNcclsSwitch) {
  int status[2];
  RunAsProcesses(
      [](Collective& control, cudaStream_t stream) {
        // On one rank: then on none.
        if (control.rank() == 1) setenv("NCCL_P2P_DISABLE", "1", 1);
        auto exchange = PeerExchange::Create(&control, stream, "pair of GPUs",
                                             absl::Seconds(30));
        EXPECT_THAT(exchange.status(),
                    StatusIs(absl::StatusCode::kUnavailable,
                             HasSubstr("NCCL_P2P_DISABLE is 1")));
      },
      status);
  if (NoGpus(status[0])) GTEST_SKIP() << "for two GPUs";
  EXPECT_EQ(status[0], 0);
  EXPECT_EQ(status[1], 0);
}

}  // namespace
}  // namespace caracal
