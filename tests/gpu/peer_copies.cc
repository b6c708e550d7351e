#include "tests/gpu/peer_copies.h"

#include <cstring>

#include "core/base/status.h"
#include "kernels/common/cuda_check.h"

namespace caracal::kernels {

PeerCopies::PeerCopies(Collective* control, size_t inbox_bytes)
    : control_(control),
      inbox_bytes_((inbox_bytes + 255) / 256 * 256),
      inbox_(kLanes * inbox_bytes_) {
  CARACAL_CHECK_EQ(control->size(), 2);
  const int other = 1 - control->rank();
  int can = 0;
  CARACAL_CUDA_CHECK(cudaDeviceCanAccessPeer(&can, control->rank(), other));
  CARACAL_CHECK(can) << "GPU " << control->rank() << " can't reach GPU "
                     << other << "'s memory";
  // NCCL may have been here before.
  if (const cudaError_t status = cudaDeviceEnablePeerAccess(other, 0);
      status == cudaErrorPeerAccessAlreadyEnabled) {
    cudaGetLastError();
  } else {
    CARACAL_CUDA_CHECK(status);
  }
  peer_inbox_ = PeerOf(inbox_.data());
  for (auto& events : sent_) {
    for (cudaEvent_t& e : events) {
      CARACAL_CUDA_CHECK(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    }
  }
  decltype(sent_) all[2];
  static_assert(sizeof(all) == 2 * sizeof(sent_));
  CARACAL_CHECK_OK(control->AllGatherBytes(sent_, sizeof(sent_), all));
  std::memcpy(peer_sent_, all[other], sizeof(sent_));
}

PeerCopies::~PeerCopies() {
  // The other rank may still wait for these, and write to the inbox.
  CARACAL_CHECK_OK(control_->Barrier());
  for (auto& events : sent_) {
    for (const cudaEvent_t e : events) cudaEventDestroy(e);
  }
}

void* PeerCopies::PeerOf(void* mine) {
  const auto [entry, created] = peers_.try_emplace(mine);
  if (created) {
    void* all[2];
    CARACAL_CHECK_OK(control_->AllGatherBytes(&mine, sizeof(mine), all));
    entry->second = all[1 - control_->rank()];
  }
  return entry->second;
}

void PeerCopies::Exchange(const void* from, void* to, size_t bytes, int lane,
                          int kind, cudaStream_t stream) {
  CARACAL_CUDA_CHECK(
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
  CARACAL_CUDA_CHECK(cudaEventRecord(sent_[lane][kind], stream));
  // The other thread does not record anew before it has met this one again.
  CARACAL_CHECK_OK(control_->Barrier());
  CARACAL_CUDA_CHECK(cudaStreamWaitEvent(stream, peer_sent_[lane][kind]));
}

}  // namespace caracal::kernels
