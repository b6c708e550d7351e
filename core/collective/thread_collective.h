// A Collective whose ranks are threads of one process: lets a test run a
// sharded model as a real group would, without MPI.
#ifndef CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_
#define CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_

#include <barrier>
#include <memory>
#include <vector>

#include "core/collective/collective.h"

namespace caracal {

// The meeting point of `size` ranks; outlives their collectives.
class ThreadGroup {
 public:
  explicit ThreadGroup(int size) : barrier_(size), data_(size) {}
  // The collective of one rank, used by that rank's thread only.
  std::unique_ptr<Collective> Join(int rank);

 private:
  friend class ThreadCollective;
  std::barrier<> barrier_;
  std::vector<TensorView> data_;  // what each rank brought to this call
};

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_THREAD_COLLECTIVE_H_
