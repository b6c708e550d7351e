#include "dist/mpi/mpi_exchange.h"

#include <sched.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr int kTag = 1;

// A wait begins by asking again and again (MpiOptions.busy), which is right for
// messages that are under way, and goes on with naps: the peer still computes,
// and so should this process' other threads. A nap is an eighth of the wait so
// far, from here to the group's longest.
constexpr absl::Duration kShortestNap = absl::Microseconds(50);
constexpr int kAsksBetweenClocks = 16;

}  // namespace

std::string MpiGroup::Where(const char* operation) const {
  return absl::StrCat("in ", operation, " on rank ", world_ranks[rank],
                      " of the ", name);
}

std::string MpiExchange::Where(const char* operation,
                               const Message& message) const {
  return absl::StrCat(
      group_->Where(operation), message.is_send ? " (to rank " : " (from rank ",
      group_->world_ranks[message.peer], ", ", message.bytes, " bytes)");
}

absl::Status MpiExchange::StartSend(const char* operation, const void* data,
                                    int64_t bytes, int to) {
  const Message message = {true, to, static_cast<int>(bytes)};
  MPI_Request request = MPI_REQUEST_NULL;
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Isend(data, message.bytes, MPI_BYTE, to, kTag,
                                        group_->comm, &request),
                              Where(operation, message));
  requests_.push_back(request);
  messages_.push_back(message);
  return absl::OkStatus();
}

absl::Status MpiExchange::StartReceive(const char* operation, void* data,
                                       int64_t bytes, int from) {
  const Message message = {false, from, static_cast<int>(bytes)};
  MPI_Request request = MPI_REQUEST_NULL;
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Irecv(data, message.bytes, MPI_BYTE, from,
                                        kTag, group_->comm, &request),
                              Where(operation, message));
  requests_.push_back(request);
  messages_.push_back(message);
  return absl::OkStatus();
}

absl::Status MpiExchange::CheckDone(const char* operation, int done) {
  for (int i = 0; i < done; ++i) {
    const Message& message = messages_[done_[i]];
    if (message.is_send) continue;
    int bytes = 0;
    CARACAL_RETURN_IF_MPI_ERROR(MPI_Get_count(&statuses_[i], MPI_BYTE, &bytes),
                                Where(operation, message));
    if (bytes != message.bytes) {
      return absl::InternalError(
          absl::StrCat("a message of ", bytes, " bytes came ",
                       Where(operation, message), ": the ranks differ"));
    }
  }
  return absl::OkStatus();
}

absl::Status MpiExchange::Wait(const char* operation) {
  const int count = static_cast<int>(requests_.size());
  done_.resize(count);
  statuses_.resize(count);
  int left = count;
  int asks = 0;
  absl::Duration idle_since;  // of the first look at the clock
  while (left > 0) {
    int done = 0;
    if (const int code = MPI_Testsome(count, requests_.data(), &done,
                                      done_.data(), statuses_.data());
        code != MPI_SUCCESS) {
      // Of one message, if MPI says so, or of the call.
      for (int i = 0; code == MPI_ERR_IN_STATUS && i < done; ++i) {
        CARACAL_RETURN_IF_MPI_ERROR(statuses_[i].MPI_ERROR,
                                    Where(operation, messages_[done_[i]]));
      }
      return MpiStatus(code, "MPI_Testsome", group_->Where(operation));
    }
    if (done > 0) {
      RETURN_IF_ERROR(CheckDone(operation, done));
      left -= done;
      asks = 0;
      continue;
    }
    ++asks;
    if (asks % kAsksBetweenClocks != 0) continue;
    const absl::Duration now = Clock::Real()->Now();
    if (asks == kAsksBetweenClocks) idle_since = now;
    if (now - idle_since < group_->options.busy) {
      sched_yield();
      continue;
    }
    if (now - idle_since >= group_->options.timeout) {
      int pending = 0;
      while (requests_[pending] == MPI_REQUEST_NULL) ++pending;
      return absl::DeadlineExceededError(absl::StrCat(
          "nothing came for ", absl::FormatDuration(now - idle_since), " ",
          Where(operation, messages_[pending])));
    }
    asks = 2 * kAsksBetweenClocks - 1;  // The next ask is by the clock again.
    absl::SleepFor(std::max(
        kShortestNap,
        std::min((now - idle_since) / 8, group_->options.longest_nap)));
  }
  requests_.clear();
  messages_.clear();
  return absl::OkStatus();
}

}  // namespace caracal
