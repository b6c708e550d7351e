// Rows between two GPUs of one process by their copy engines, which take no
// multiprocessor from the products beside them: each rank writes what the other
// one needs straight into its memory.
#ifndef CARACAL_TESTS_GPU_PEER_COPIES_H_
#define CARACAL_TESTS_GPU_PEER_COPIES_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>

#include "core/collective/collective.h"
#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {

// Both ranks make the same calls in the same order, and their threads meet in
// each: a stream waits for nothing that is not on its way yet. Nothing says
// that the other rank no longer reads what is written over: a caller whose
// messages on a lane alternate between kinds (0 and 1), each sent after what
// the last one brought was used, need not ask. Not thread-safe.
class PeerCopies {
 public:
  static constexpr int kLanes = 2, kKinds = 2;

  // Ranks are threads; `inbox_bytes` is the room of each lane's inbox.
  PeerCopies(Collective* control, size_t inbox_bytes);
  ~PeerCopies();

  void* inbox(int lane) const { return inbox_.data() + lane * inbox_bytes_; }
  // The other rank's memory of that: the same allocation in its order of calls.
  // Meets the other rank when `mine` is new.
  void* PeerOf(void* mine);
  void* PeerInbox(int lane) { return Offset(peer_inbox_, lane * inbox_bytes_); }

  // On `stream`: writes to the other rank's `to`, then waits until what it
  // writes of this lane and kind is here.
  void Exchange(const void* from, void* to, size_t bytes, int lane, int kind,
                cudaStream_t stream);

  static void* Offset(void* data, size_t bytes) {
    return static_cast<char*>(data) + bytes;
  }

 private:
  Collective* const control_;
  const size_t inbox_bytes_;
  testing::DeviceArray<char> inbox_;
  void* peer_inbox_ = nullptr;
  // Each rank's: its copy is done.
  cudaEvent_t sent_[kLanes][kKinds] = {}, peer_sent_[kLanes][kKinds] = {};
  std::map<void*, void*> peers_;
};

}  // namespace caracal::kernels

#endif  // CARACAL_TESTS_GPU_PEER_COPIES_H_
