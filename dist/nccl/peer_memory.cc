#include "dist/nccl/peer_memory.h"

#include <cuda_runtime_api.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/host_name.h"
#include "core/base/status.h"
#include "core/collective/agree.h"
#include "dist/nccl/nccl_api.h"

namespace caracal {
namespace {

// A handle is of a whole allocation of the driver's, which smaller ones share.
constexpr size_t kGranule = size_t{2} << 20;

// What a rank says of itself.
struct Offer {
  char host[64];
  pid_t process;
  void* data;
  cudaIpcMemHandle_t handle;
};

absl::Status MakeOffer(size_t bytes, const std::string& where, Offer* offer) {
  std::memset(offer, 0, sizeof(*offer));
  HostName().copy(offer->host, sizeof(offer->host) - 1);
  offer->process = getpid();
  const auto check = [&](cudaError_t code, const char* call) {
    if (code == cudaSuccess) return absl::OkStatus();
    cudaGetLastError();
    return CudaStatus(code, call, where);
  };
  const size_t granules =
      std::max<size_t>(1, (bytes + kGranule - 1) / kGranule);
  void* data = nullptr;
  if (const cudaError_t code = cudaMalloc(&data, granules * kGranule);
      code == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return absl::ResourceExhaustedError(
        absl::StrCat("out of GPU memory: ", granules * kGranule >> 20,
                     " MiB for what other ranks send ", where));
  } else {
    RETURN_IF_ERROR(check(code, "cudaMalloc"));
  }
  offer->data = data;
  RETURN_IF_ERROR(
      check(cudaMemset(data, 0, granules * kGranule), "cudaMemset"));
  // The memory is zero before its address is known elsewhere.
  RETURN_IF_ERROR(check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"));
  return check(cudaIpcGetMemHandle(&offer->handle, data),
               "cudaIpcGetMemHandle");
}

// Where `theirs` is found from here.
absl::StatusOr<void*> Reach(const Offer& mine, const Offer& theirs,
                            const std::string& where) {
  if (std::strcmp(mine.host, theirs.host) != 0) {
    return absl::UnavailableError(
        absl::StrCat("on another host, ", theirs.host, ", ", where));
  }
  // Its launches would wait for ours where a stream has no room for more, and
  // our stream for what they bring.
  if (mine.process == theirs.process) {
    return absl::UnavailableError(
        absl::StrCat("a thread of the same process ", where));
  }
  void* data = nullptr;
  const cudaError_t code = cudaIpcOpenMemHandle(&data, theirs.handle,
                                                cudaIpcMemLazyEnablePeerAccess);
  if (code == cudaSuccess) return data;
  cudaGetLastError();
  return CudaStatus(code, "cudaIpcOpenMemHandle", where);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PeerMemory>> PeerMemory::Create(
    Collective* control, size_t bytes, const std::string& name) {
  const int rank = control->rank(), size = control->size();
  const auto of = [&](int r) {
    return absl::StrCat("of rank ", r, " of ", size, " of the ", name);
  };
  std::unique_ptr<PeerMemory> memory(new PeerMemory(rank, size));
  Offer mine;
  absl::Status status = MakeOffer(bytes, of(rank), &mine);
  memory->of_[rank] = mine.data;
  RETURN_IF_ERROR(AgreeOn(*control, status));
  std::vector<Offer> all(size);
  RETURN_IF_ERROR(control->AllGatherBytes(&mine, sizeof(mine), all.data()));
  for (int r = 0; r < size && status.ok(); ++r) {
    if (r == rank) continue;
    absl::StatusOr<void*> theirs = Reach(mine, all[r], of(r));
    status = theirs.status();
    if (!theirs.ok()) break;
    memory->of_[r] = *theirs;
  }
  RETURN_IF_ERROR(AgreeOn(*control, status));
  return memory;
}

void PeerMemory::Leave() {
  for (int r = 0; r < static_cast<int>(of_.size()); ++r) {
    if (r == rank_ || of_[r] == nullptr) continue;
    cudaIpcCloseMemHandle(of_[r]);
    of_[r] = nullptr;
  }
}

PeerMemory::~PeerMemory() {
  Leave();
  cudaFree(of_[rank_]);
}

}  // namespace caracal
