#include "dist/mpi/mpi_collective.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/status.h"
#include "core/collective/checks.h"
#include "core/collective/traffic.h"

namespace caracal {

MpiCollective::MpiCollective(MpiGroup group)
    : group_(std::move(group)),
      exchanges_{MpiExchange(&group_), MpiExchange(&group_)},
      begins_(group_.size + 1) {
  CARACAL_CHECK(group_.options.block_bytes >= 8 &&
                group_.options.block_bytes % 8 == 0 &&
                group_.options.block_bytes < (int64_t{1} << 31))
      << "blocks of " << group_.options.block_bytes << " bytes";
}

MpiCollective::~MpiCollective() {
  // With messages under way there is no clean end.
  MPI_Comm comm = group_.comm;
  if (broken_.ok()) MPI_Comm_free(&comm);
}

void MpiCollective::SetPieces(absl::Span<const int64_t> counts, DType dtype) {
  for (int r = 0; r < group_.size; ++r) {
    begins_[r + 1] = begins_[r] + counts[r] * SizeOf(dtype);
  }
}

void MpiCollective::SetEvenPieces(int64_t n, DType dtype) {
  for (int r = 0; r < group_.size; ++r) {
    begins_[r + 1] = begins_[r] + EvenCount(n, group_.size, r) * SizeOf(dtype);
  }
}

int64_t MpiCollective::BlockBytes(int64_t bytes, int64_t round) const {
  const int64_t block = group_.options.block_bytes;
  return std::clamp<int64_t>(bytes - round * block, 0, block);
}

int64_t MpiCollective::Rounds(int64_t bytes) const {
  const int64_t block = group_.options.block_bytes;
  return (bytes + block - 1) / block;
}

int64_t MpiCollective::RoundsOfPieces() const {
  int64_t rounds = 0;
  for (int r = 0; r < group_.size; ++r) {
    rounds = std::max(rounds, Rounds(PieceBytes(r)));
  }
  return rounds;
}

absl::Status MpiCollective::StartSend(const char* operation, int64_t round,
                                      const char* data, int64_t bytes, int to) {
  if (bytes == 0) return absl::OkStatus();
  RETURN_IF_ERROR(exchanges_[round % 2].StartSend(operation, data, bytes, to));
  traffic_ += bytes;
  return absl::OkStatus();
}

absl::Status MpiCollective::StartReceive(const char* operation, int64_t round,
                                         char* data, int64_t bytes, int from) {
  if (bytes == 0) return absl::OkStatus();
  return exchanges_[round % 2].StartReceive(operation, data, bytes, from);
}

template <typename Begin, typename End>
absl::Status MpiCollective::InRounds(const char* operation, int64_t rounds,
                                     Begin begin, End end) {
  if (rounds > 0) RETURN_IF_ERROR(begin(0));
  for (int64_t round = 0; round < rounds; ++round) {
    if (round + 1 < rounds) RETURN_IF_ERROR(begin(round + 1));
    RETURN_IF_ERROR(exchanges_[round % 2].Wait(operation));
    RETURN_IF_ERROR(end(round));
  }
  return absl::OkStatus();
}

absl::Status MpiCollective::ReducePieces(const char* operation,
                                         Reduction reduction, DType dtype,
                                         const char* data, char* out) {
  const int me = group_.rank, size = group_.size;
  const int64_t block = group_.options.block_bytes;
  const int64_t mine = PieceBytes(me);
  // Blocks of a small piece lie close together.
  const int64_t stride = std::min(block, mine);
  if (staging_.size() < 2 * size * stride) staging_.resize(2 * size * stride);
  const auto staged = [&](int64_t round, int from) {
    return &staging_[(round % 2 * size + from) * stride];
  };
  return InRounds(
      operation, RoundsOfPieces(),
      [&](int64_t round) {
        for (int step = 1; step < size; ++step) {
          const int from = (me + size - step) % size, to = (me + step) % size;
          if (const int64_t bytes = BlockBytes(mine, round); bytes > 0) {
            RETURN_IF_ERROR(StartReceive(operation, round, staged(round, from),
                                         bytes, from));
          }
          RETURN_IF_ERROR(StartSend(operation, round,
                                    data + begins_[to] + round * block,
                                    BlockBytes(PieceBytes(to), round), to));
        }
        return absl::OkStatus();
      },
      [&](int64_t round) {
        const int64_t bytes = BlockBytes(mine, round);
        if (bytes == 0) return absl::OkStatus();
        sources_.clear();
        for (int r = 0; r < size; ++r) {
          sources_.push_back(r == me ? data + begins_[me] + round * block
                                     : staged(round, r));
        }
        ReduceInOrder(reduction, dtype, sources_, bytes / SizeOf(dtype),
                      out + round * block);
        return absl::OkStatus();
      });
}

absl::Status MpiCollective::GatherPieces(const char* operation,
                                         const char* mine, char* all) {
  const int me = group_.rank, size = group_.size;
  const int64_t block = group_.options.block_bytes;
  char* const place = all + begins_[me];
  if (PieceBytes(me) > 0 && mine != place) {
    std::memcpy(place, mine, PieceBytes(me));
  }
  return InRounds(
      operation, RoundsOfPieces(),
      [&](int64_t round) {
        for (int step = 1; step < size; ++step) {
          const int from = (me + size - step) % size, to = (me + step) % size;
          RETURN_IF_ERROR(StartReceive(
              operation, round, all + begins_[from] + round * block,
              BlockBytes(PieceBytes(from), round), from));
          RETURN_IF_ERROR(StartSend(operation, round, mine + round * block,
                                    BlockBytes(PieceBytes(me), round), to));
        }
        return absl::OkStatus();
      },
      [](int64_t) { return absl::OkStatus(); });
}

absl::Status MpiCollective::Finish(const absl::Status& status) {
  if (broken_.ok()) broken_ = status;
  return status;
}

absl::Status MpiCollective::AllReduce(const char* operation,
                                      Reduction reduction, TensorView data) {
  CheckReducible(data);
  RETURN_IF_ERROR(broken_);
  SetEvenPieces(data.size(), data.dtype);
  char* const bytes = static_cast<char*>(data.data);
  char* const mine = bytes + begins_[group_.rank];
  RETURN_IF_ERROR(
      Finish(ReducePieces(operation, reduction, data.dtype, bytes, mine)));
  return Finish(GatherPieces(operation, mine, bytes));
}

absl::Status MpiCollective::AllReduceSum(TensorView data) {
  return AllReduce("AllReduceSum", Reduction::kSum, data);
}

absl::Status MpiCollective::AllReduceMax(TensorView data) {
  return AllReduce("AllReduceMax", Reduction::kMax, data);
}

absl::Status MpiCollective::ReduceScatterSum(ConstTensorView data,
                                             absl::Span<const int64_t> counts,
                                             TensorView out) {
  CheckReducible(data);
  CheckPieces(data, counts, out, group_.rank, group_.size);
  RETURN_IF_ERROR(broken_);
  SetPieces(counts, data.dtype);
  return Finish(ReducePieces("ReduceScatterSum", Reduction::kSum, data.dtype,
                             static_cast<const char*>(data.data),
                             static_cast<char*>(out.data)));
}

absl::Status MpiCollective::AllGather(ConstTensorView mine,
                                      absl::Span<const int64_t> counts,
                                      TensorView all) {
  CheckPieces(all, counts, mine, group_.rank, group_.size);
  RETURN_IF_ERROR(broken_);
  SetPieces(counts, all.dtype);
  return Finish(GatherPieces("AllGather", static_cast<const char*>(mine.data),
                             static_cast<char*>(all.data)));
}

absl::Status MpiCollective::AllGatherBytes(const void* mine, size_t bytes,
                                           void* all) {
  RETURN_IF_ERROR(broken_);
  for (int r = 0; r < group_.size; ++r) begins_[r + 1] = begins_[r] + bytes;
  return Finish(GatherPieces("AllGatherBytes", static_cast<const char*>(mine),
                             static_cast<char*>(all)));
}

absl::Status MpiCollective::Broadcast(TensorView data, int root) {
  CheckView(data);
  CheckRank(root, *this);
  RETURN_IF_ERROR(broken_);
  const int size = group_.size;
  const int after_root = (group_.rank - root + size) % size;
  // In the tree, the parent is this rank without its lowest set bit.
  const int lowest_bit = after_root & -after_root;
  const int parent = (after_root - lowest_bit + root) % size;
  const int64_t bytes = BytesOf(data), block = group_.options.block_bytes;
  char* const begin = static_cast<char*>(data.data);
  // Each block is passed on when it has come, while the next one comes: a
  // message and the sends of it are of different exchanges.
  const auto receive = [&](int64_t round) {
    if (after_root == 0) return absl::OkStatus();
    return StartReceive("Broadcast", 0, begin + round * block,
                        BlockBytes(bytes, round), parent);
  };
  const auto run = [&]() -> absl::Status {
    const int64_t rounds = Rounds(bytes);
    if (rounds > 0) RETURN_IF_ERROR(receive(0));
    for (int64_t round = 0; round < rounds; ++round) {
      RETURN_IF_ERROR(exchanges_[0].Wait("Broadcast"));
      if (round + 1 < rounds) RETURN_IF_ERROR(receive(round + 1));
      for (int step = 1; after_root + step < size; step *= 2) {
        if ((after_root & step) != 0) break;
        RETURN_IF_ERROR(StartSend("Broadcast", 1, begin + round * block,
                                  BlockBytes(bytes, round),
                                  (group_.rank + step) % size));
      }
      RETURN_IF_ERROR(exchanges_[1].Wait("Broadcast"));
    }
    return absl::OkStatus();
  };
  return Finish(run());
}

absl::Status MpiCollective::Send(ConstTensorView data, int to) {
  CheckView(data);
  CheckPeer(to, *this);
  RETURN_IF_ERROR(broken_);
  const int64_t bytes = BytesOf(data), block = group_.options.block_bytes;
  const char* const begin = static_cast<const char*>(data.data);
  return Finish(InRounds(
      "Send", Rounds(bytes),
      [&](int64_t round) {
        return StartSend("Send", round, begin + round * block,
                         BlockBytes(bytes, round), to);
      },
      [](int64_t) { return absl::OkStatus(); }));
}

absl::Status MpiCollective::Receive(TensorView data, int from) {
  CheckView(data);
  CheckPeer(from, *this);
  RETURN_IF_ERROR(broken_);
  const int64_t bytes = BytesOf(data), block = group_.options.block_bytes;
  char* const begin = static_cast<char*>(data.data);
  return Finish(InRounds(
      "Receive", Rounds(bytes),
      [&](int64_t round) {
        return StartReceive("Receive", round, begin + round * block,
                            BlockBytes(bytes, round), from);
      },
      [](int64_t) { return absl::OkStatus(); }));
}

absl::Status MpiCollective::Barrier() {
  RETURN_IF_ERROR(broken_);
  // In round k everybody hears from the rank 2^k before it, which has heard
  // from all of the 2^k ranks up to itself.
  const auto run = [&]() -> absl::Status {
    MpiExchange& exchange = exchanges_[0];
    for (int step = 1; step < group_.size; step *= 2) {
      RETURN_IF_ERROR(exchange.StartReceive(
          "Barrier", nullptr, 0,
          (group_.rank + group_.size - step) % group_.size));
      RETURN_IF_ERROR(exchange.StartSend("Barrier", nullptr, 0,
                                         (group_.rank + step) % group_.size));
      RETURN_IF_ERROR(exchange.Wait("Barrier"));
    }
    return absl::OkStatus();
  };
  return Finish(run());
}

}  // namespace caracal
