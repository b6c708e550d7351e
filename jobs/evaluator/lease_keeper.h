// Keeps a worker's lease of a part while the part is computed.
#ifndef CARACAL_JOBS_EVALUATOR_LEASE_KEEPER_H_
#define CARACAL_JOBS_EVALUATOR_LEASE_KEEPER_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace caracal {

struct LeaseKeeperOptions {
  absl::Duration lease;  // from now, and from each renewal
  // One call each, on the keeper's thread. kAborted or kNotFound: the part is
  // not this worker's any more.
  std::function<absl::Status()> renew;
  std::function<absl::Status()> give_back;
  // The worker is to end: the lease is given back at once. Null: never.
  const std::atomic<bool>* stop = nullptr;
  // Set when whatever is computed is for nothing: the lease was given back, or
  // is somebody else's.
  std::atomic<bool>* lost = nullptr;
};

// All that it is given outlives it.
class LeaseKeeper {
 public:
  explicit LeaseKeeper(LeaseKeeperOptions options);
  // Renews no more.
  ~LeaseKeeper() { End(); }
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  void End();

 private:
  void Run();

  const LeaseKeeperOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;  // guarded by mutex_
  std::thread thread_;   // last: uses all of the above
};

}  // namespace caracal

#endif  // CARACAL_JOBS_EVALUATOR_LEASE_KEEPER_H_
