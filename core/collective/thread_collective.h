// A Collective whose ranks are threads of one process: lets a test run a
// sharded model as a real group would, without MPI.
#ifndef CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_
#define CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_

#include <barrier>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "core/collective/collective.h"

namespace caracal {

// The meeting point of `size` ranks; outlives their collectives. Calls that do
// not fit together (another operation, another size) CHECK.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size);
  // The collective of one rank, used by one thread at a time. A rank joins
  // once.
  std::unique_ptr<Collective> Join(int rank);

 private:
  friend class ThreadCollective;

  // What a rank brought to the call that all are in.
  struct Call {
    const char* operation = nullptr;
    DType dtype = DType::kF32;
    uint64_t size = 0;  // whatever all ranks must agree on
    void* data = nullptr;
  };
  // Of one rank to another.
  struct Mailbox {
    std::mutex mutex;  // of the next three
    std::condition_variable changed;
    const void* data = nullptr;
    uint64_t bytes = 0;
    bool full = false;
  };

  std::barrier<> barrier_;
  std::vector<Call> calls_;
  std::vector<Mailbox> mailboxes_;  // [from * size + to]
};

// Calls `work` on `size` threads, each with its collective of one new group,
// and returns when all have returned.
void RunAsRanks(int size, const std::function<void(Collective&)>& work);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_
