#include "core/collective/collective.h"

#include <cstring>

#include "core/collective/checks.h"

namespace caracal {
namespace {

absl::Status Copy(const void* from, size_t bytes, void* to) {
  if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
  return absl::OkStatus();
}

}  // namespace

absl::Status SingleProcessCollective::AllReduceSum(TensorView data) {
  CheckReducible(data);
  return absl::OkStatus();
}

absl::Status SingleProcessCollective::AllReduceMax(TensorView data) {
  CheckReducible(data);
  return absl::OkStatus();
}

absl::Status SingleProcessCollective::ReduceScatterSum(
    ConstTensorView data, absl::Span<const int64_t> counts, TensorView out) {
  CheckReducible(data);
  CheckPieces(data, counts, out, 0, 1);
  return Copy(data.data, BytesOf(data), out.data);
}

absl::Status SingleProcessCollective::AllGather(
    ConstTensorView mine, absl::Span<const int64_t> counts, TensorView all) {
  CheckPieces(all, counts, mine, 0, 1);
  return Copy(mine.data, BytesOf(mine), all.data);
}

absl::Status SingleProcessCollective::Broadcast(TensorView data, int root) {
  CheckView(data);
  CheckRank(root, *this);
  return absl::OkStatus();
}

absl::Status SingleProcessCollective::Send(ConstTensorView, int to) {
  CheckPeer(to, *this);  // Fails: there is no other rank.
  return absl::OkStatus();
}

absl::Status SingleProcessCollective::Receive(TensorView, int from) {
  CheckPeer(from, *this);
  return absl::OkStatus();
}

absl::Status SingleProcessCollective::AllGatherBytes(const void* mine,
                                                     size_t bytes, void* all) {
  return Copy(mine, bytes, all);
}

absl::Status SingleProcessCollective::Barrier() { return absl::OkStatus(); }

}  // namespace caracal
