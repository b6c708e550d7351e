// Learns at once when processes of this machine end, of whatever parent.
#ifndef CARACAL_DIST_LIVENESS_PROCESS_ENDS_H_
#define CARACAL_DIST_LIVENESS_PROCESS_ENDS_H_

#include <map>
#include <vector>

#include "absl/time/time.h"

namespace caracal {

// By Linux's pidfd (5.3 or newer). A process that can't be watched, there or by
// permission, is never seen to end. Wait() is for one thread, Wake() for any.
class ProcessEnds {
 public:
  // Process numbers, by what the caller calls them.
  explicit ProcessEnds(const std::map<int, int>& pids);
  ProcessEnds(const ProcessEnds&) = delete;
  ProcessEnds& operator=(const ProcessEnds&) = delete;
  ~ProcessEnds();

  // The names of those that ended since the last call, each told once. Comes
  // back without one after `timeout`, and early after a Wake().
  std::vector<int> Wait(absl::Duration timeout);
  void Wake();

 private:
  std::map<int, int> watched_;  // name to pidfd
  std::vector<int> gone_;       // ended before they could be watched
  int wake_ = -1;               // eventfd
};

}  // namespace caracal

#endif  // CARACAL_DIST_LIVENESS_PROCESS_ENDS_H_
