// What a rank concludes from what it sees of the others. Pure: no threads, no
// waiting, time from a clock.
#ifndef CARACAL_DIST_LIVENESS_WATCH_H_
#define CARACAL_DIST_LIVENESS_WATCH_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace caracal {

// Where a rank runs. Ranks of equal `machine` see each other's processes.
struct RankProcess {
  std::string host;     // for people
  std::string machine;  // host and process-number space
  int pid = 0;
};

struct LostRank {
  int rank = 0;
  std::string reason;
};

// One rank's view. Ranks beat in a ring: the rank after this one (the first
// follows the last) beats to this one. The end of a process is seen by all
// ranks of its machine, and told by the lowest that is left there; beats that
// stay away are told by the rank that misses them. Not thread-safe.
class Watch {
 public:
  // `ranks`: by rank. `limit`: how long beats may stay away.
  Watch(std::vector<RankProcess> ranks, int rank, absl::Duration limit,
        Clock* clock);

  int successor() const { return successor_; }
  // The ranks whose processes this one can see, itself left out.
  std::vector<int> Neighbours() const;

  // The successor's beat came.
  void Beat();
  // A neighbour's process ended.
  void Ended(int rank);
  // This process was asked to stop. Whoever ends ranks asks first, all of a
  // machine at once: from now on a neighbour's end is only told when this rank
  // outlives it for a while.
  void Stopping() { stopping_ = true; }

  // To be asked several times in `limit`: whom this rank is to tell of as lost.
  // A rank that was not asked for long was itself stopped, and begins to wait
  // for beats anew.
  std::optional<LostRank> Lost();

  bool saw_an_end() const { return !ended_.empty(); }

 private:
  bool IsLowestLeft() const;

  const std::vector<RankProcess> ranks_;
  const int rank_;
  const int successor_;
  const absl::Duration limit_;
  Clock* const clock_;
  absl::Duration last_beat_;
  absl::Duration last_asked_;
  bool stopping_ = false;
  std::set<int> ended_;
  int first_ended_ = 0;            // while ended_ is not empty
  absl::Duration tell_end_after_;  // likewise
};

}  // namespace caracal

#endif  // CARACAL_DIST_LIVENESS_WATCH_H_
