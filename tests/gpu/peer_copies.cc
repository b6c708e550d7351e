#include "tests/gpu/peer_copies.h"

#include <cuda.h>

#include <vector>

#include "core/base/status.h"
#include "kernels/common/cuda_check.h"

namespace caracal::kernels {
namespace {

template <typename Function>
Function Find(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  CARACAL_CUDA_CHECK(cudaGetDriverEntryPointByVersion(
      name, &function, 12000, cudaEnableDefault, &found));
  CARACAL_CHECK(found == cudaDriverEntryPointSuccess)
      << "the driver has no " << name;
  return reinterpret_cast<Function>(function);
}

void Check(CUresult result, const char* call) {
  CARACAL_CHECK(result == CUDA_SUCCESS)
      << call << ": " << static_cast<int>(result);
}

void Write(void* flag, uint32_t value, cudaStream_t stream) {
  static const auto write =
      Find<decltype(&cuStreamWriteValue32)>("cuStreamWriteValue32");
  Check(write(stream, reinterpret_cast<CUdeviceptr>(flag), value,
              CU_STREAM_WRITE_VALUE_DEFAULT),
        "cuStreamWriteValue32");
}

void WaitFor(void* flag, uint32_t value, cudaStream_t stream) {
  static const auto wait =
      Find<decltype(&cuStreamWaitValue32)>("cuStreamWaitValue32");
  Check(wait(stream, reinterpret_cast<CUdeviceptr>(flag), value,
             CU_STREAM_WAIT_VALUE_EQ),
        "cuStreamWaitValue32");
}

}  // namespace

PeerCopies::PeerCopies(Collective* control, size_t inbox_bytes)
    : control_(control),
      inbox_bytes_((inbox_bytes + 255) / 256 * 256),
      inbox_(kLanes * inbox_bytes_),
      flags_(std::vector<uint32_t>(kLanes * kKinds)) {
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
  peer_flags_ = PeerOf(flags_.data());
}

// The other rank may still write its last flag.
PeerCopies::~PeerCopies() { CARACAL_CHECK_OK(control_->Barrier()); }

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
  const size_t flag = (lane * kKinds + kind) * sizeof(uint32_t);
  CARACAL_CUDA_CHECK(
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
  Write(Offset(peer_flags_, flag), 1, stream);
  WaitFor(Offset(flags_.data(), flag), 1, stream);
  // The next one of this kind comes after an answer to this.
  Write(Offset(flags_.data(), flag), 0, stream);
}

}  // namespace caracal::kernels
