#include "dist/nccl/nccl_collective.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/collective/checks.h"
#include "core/collective/traffic.h"
#include "dist/nccl/nccl_api.h"

namespace caracal {
namespace {

ncclDataType_t TypeOf(DType dtype) {
  return dtype == DType::kF32 ? ncclFloat32 : ncclBfloat16;
}

bool AllEqual(absl::Span<const int64_t> counts) {
  return std::all_of(counts.begin(), counts.end(),
                     [&](int64_t count) { return count == counts[0]; });
}

}  // namespace

struct NcclCollective::Communicator {
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
};

NcclCollective::NcclCollective() : comm_(std::make_unique<Communicator>()) {}

NcclCollective::~NcclCollective() {
  if (comm_->comm != nullptr) ncclCommDestroy(comm_->comm);
}

absl::StatusOr<std::unique_ptr<NcclCollective>> NcclCollective::Create(
    Collective* control, void* stream, const std::string& name,
    absl::Duration timeout, int most_blocks) {
  std::unique_ptr<NcclCollective> group(new NcclCollective());
  group->comm_->stream = static_cast<cudaStream_t>(stream);
  group->control_ = control;
  group->name_ = name;
  group->timeout_ = timeout;
  group->rank_ = control->rank();
  group->size_ = control->size();
  // Rank 0's identifier is everybody's; if it has none, all hear of it.
  struct Invitation {
    ncclUniqueId id;
    ncclResult_t result = ncclSuccess;
  };
  Invitation mine;
  std::memset(&mine.id, 0, sizeof(mine.id));
  if (group->rank_ == 0) mine.result = ncclGetUniqueId(&mine.id);
  std::vector<Invitation> all(group->size_);
  RETURN_IF_ERROR(control->AllGatherBytes(&mine, sizeof(mine), all.data()));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  if (most_blocks != kAnyBlocks) {
    config.minCTAs = 1;
    config.maxCTAs = most_blocks;
  }
  CARACAL_RETURN_IF_NCCL_ERROR(all[0].result, nullptr,
                               group->Where("making an identifier"));
  CARACAL_RETURN_IF_NCCL_ERROR(
      ncclCommInitRankConfig(&group->comm_->comm, group->size_, all[0].id,
                             group->rank_, &config),
      nullptr, group->Where("joining"));
  return group;
}

absl::StatusOr<std::unique_ptr<NcclCollective>> NcclCollective::Create(
    std::unique_ptr<Collective> control, std::shared_ptr<void> stream,
    const std::string& name, absl::Duration timeout, int most_blocks) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<NcclCollective> group,
      Create(control.get(), stream.get(), name, timeout, most_blocks));
  group->kept_stream_ = std::move(stream);
  group->kept_control_ = std::move(control);
  return group;
}

std::string NcclCollective::Where(const char* operation) const {
  return absl::StrCat("in ", operation, " on rank ", rank_, " of ", size_,
                      " of the ", name_);
}

absl::Status NcclCollective::Finish(const absl::Status& status) {
  if (!status.ok() && broken_.ok()) {
    broken_ = status;
    // Ends what is on the stream, too.
    ncclCommAbort(comm_->comm);
    comm_->comm = nullptr;
  }
  return status;
}

absl::Status NcclCollective::AllReduce(const char* operation, bool sum,
                                       TensorView data) {
  CheckReducible(data);
  RETURN_IF_ERROR(broken_);
  const auto run = [&]() -> absl::Status {
    CARACAL_RETURN_IF_NCCL_ERROR(
        ncclAllReduce(data.data, data.data, data.size(), TypeOf(data.dtype),
                      sum ? ncclSum : ncclMax, comm_->comm, comm_->stream),
        comm_->comm, Where(operation));
    return absl::OkStatus();
  };
  if (data.size() > 0) RETURN_IF_ERROR(Finish(run()));
  traffic_ += AllReduceTraffic(data.size(), SizeOf(data.dtype), rank_, size_);
  return absl::OkStatus();
}

absl::Status NcclCollective::AllReduceSum(TensorView data) {
  return AllReduce("AllReduceSum", true, data);
}

absl::Status NcclCollective::AllReduceMax(TensorView data) {
  return AllReduce("AllReduceMax", false, data);
}

absl::Status NcclCollective::ReduceScatterSum(ConstTensorView data,
                                              absl::Span<const int64_t> counts,
                                              TensorView out) {
  CheckReducible(data);
  CheckPieces(data, counts, out, rank_, size_);
  RETURN_IF_ERROR(broken_);
  const ncclDataType_t type = TypeOf(data.dtype);
  const auto run = [&]() -> absl::Status {
    if (AllEqual(counts)) {
      CARACAL_RETURN_IF_NCCL_ERROR(
          ncclReduceScatter(data.data, out.data, counts[0], type, ncclSum,
                            comm_->comm, comm_->stream),
          comm_->comm, Where("ReduceScatterSum"));
      return absl::OkStatus();
    }
    CARACAL_RETURN_IF_NCCL_ERROR(ncclGroupStart(), comm_->comm,
                                 Where("ReduceScatterSum"));
    const char* piece = static_cast<const char*>(data.data);
    ncclResult_t result = ncclSuccess;
    for (int r = 0; r < size_ && result == ncclSuccess; ++r) {
      if (counts[r] == 0) continue;
      result = ncclReduce(piece, r == rank_ ? out.data : nullptr, counts[r],
                          type, ncclSum, r, comm_->comm, comm_->stream);
      piece += counts[r] * SizeOf(data.dtype);
    }
    // The group ends in any case.
    const ncclResult_t ended = ncclGroupEnd();
    CARACAL_RETURN_IF_NCCL_ERROR(result, comm_->comm,
                                 Where("ReduceScatterSum"));
    CARACAL_RETURN_IF_NCCL_ERROR(ended, comm_->comm, Where("ReduceScatterSum"));
    return absl::OkStatus();
  };
  if (data.size() > 0) RETURN_IF_ERROR(Finish(run()));
  traffic_ += ReduceScatterTraffic(counts, SizeOf(data.dtype), rank_);
  return absl::OkStatus();
}

absl::Status NcclCollective::AllGather(ConstTensorView mine,
                                       absl::Span<const int64_t> counts,
                                       TensorView all) {
  CheckPieces(all, counts, mine, rank_, size_);
  RETURN_IF_ERROR(broken_);
  const int64_t element = SizeOf(all.dtype);
  const auto run = [&]() -> absl::Status {
    if (AllEqual(counts)) {
      CARACAL_RETURN_IF_NCCL_ERROR(
          ncclAllGather(mine.data, all.data, counts[0] * element, ncclUint8,
                        comm_->comm, comm_->stream),
          comm_->comm, Where("AllGather"));
      return absl::OkStatus();
    }
    CARACAL_RETURN_IF_NCCL_ERROR(ncclGroupStart(), comm_->comm,
                                 Where("AllGather"));
    char* piece = static_cast<char*>(all.data);
    ncclResult_t result = ncclSuccess;
    for (int r = 0; r < size_ && result == ncclSuccess; ++r) {
      if (counts[r] == 0) continue;
      result = ncclBroadcast(r == rank_ ? mine.data : nullptr, piece,
                             counts[r] * element, ncclUint8, r, comm_->comm,
                             comm_->stream);
      piece += counts[r] * element;
    }
    const ncclResult_t ended = ncclGroupEnd();
    CARACAL_RETURN_IF_NCCL_ERROR(result, comm_->comm, Where("AllGather"));
    CARACAL_RETURN_IF_NCCL_ERROR(ended, comm_->comm, Where("AllGather"));
    return absl::OkStatus();
  };
  if (all.size() > 0) RETURN_IF_ERROR(Finish(run()));
  traffic_ += AllGatherTraffic(counts, element, rank_);
  return absl::OkStatus();
}

absl::Status NcclCollective::Broadcast(TensorView data, int root) {
  CheckView(data);
  CheckRank(root, *this);
  RETURN_IF_ERROR(broken_);
  const uint64_t bytes = BytesOf(data);
  const auto run = [&]() -> absl::Status {
    CARACAL_RETURN_IF_NCCL_ERROR(
        ncclBroadcast(data.data, data.data, bytes, ncclUint8, root, comm_->comm,
                      comm_->stream),
        comm_->comm, Where("Broadcast"));
    return absl::OkStatus();
  };
  if (bytes > 0) RETURN_IF_ERROR(Finish(run()));
  traffic_ += BroadcastTraffic(bytes, root, rank_, size_);
  return absl::OkStatus();
}

absl::Status NcclCollective::Send(ConstTensorView data, int to) {
  CheckView(data);
  CheckPeer(to, *this);
  RETURN_IF_ERROR(broken_);
  const uint64_t bytes = BytesOf(data);
  const auto run = [&]() -> absl::Status {
    CARACAL_RETURN_IF_NCCL_ERROR(
        ncclSend(data.data, bytes, ncclUint8, to, comm_->comm, comm_->stream),
        comm_->comm, absl::StrCat(Where("Send"), " (to rank ", to, ")"));
    return absl::OkStatus();
  };
  if (bytes > 0) RETURN_IF_ERROR(Finish(run()));
  traffic_ += bytes;
  return absl::OkStatus();
}

absl::Status NcclCollective::Receive(TensorView data, int from) {
  CheckView(data);
  CheckPeer(from, *this);
  RETURN_IF_ERROR(broken_);
  const auto run = [&]() -> absl::Status {
    CARACAL_RETURN_IF_NCCL_ERROR(
        ncclRecv(data.data, BytesOf(data), ncclUint8, from, comm_->comm,
                 comm_->stream),
        comm_->comm, absl::StrCat(Where("Receive"), " (from rank ", from, ")"));
    return absl::OkStatus();
  };
  if (data.size() == 0) return absl::OkStatus();
  return Finish(run());
}

absl::Status NcclCollective::AllGatherBytes(const void* mine, size_t bytes,
                                            void* all) {
  RETURN_IF_ERROR(broken_);
  RETURN_IF_ERROR(Finish(control_->AllGatherBytes(mine, bytes, all)));
  traffic_ += AllGatherBytesTraffic(bytes, size_);
  return absl::OkStatus();
}

absl::Status NcclCollective::Synchronize() {
  RETURN_IF_ERROR(broken_);
  const std::string where = Where("Synchronize");
  const auto check_peers = [&]() -> absl::Status {
    ncclResult_t behind = ncclSuccess;
    CARACAL_RETURN_IF_NCCL_ERROR(ncclCommGetAsyncError(comm_->comm, &behind),
                                 comm_->comm, where);
    CARACAL_RETURN_IF_NCCL_ERROR(behind, comm_->comm, where);
    return absl::OkStatus();
  };
  return Finish(AwaitStream(comm_->stream, timeout_, where, check_peers));
}

absl::Status NcclCollective::Barrier() {
  RETURN_IF_ERROR(Synchronize());
  return Finish(control_->Barrier());
}

}  // namespace caracal
