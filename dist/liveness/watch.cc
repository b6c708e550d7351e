#include "dist/liveness/watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

// Longer than it takes to kill all ranks of a machine, once they were asked to
// stop; shorter than the second that mpirun leaves the ranks when one died.
constexpr absl::Duration kOutlive = absl::Milliseconds(500);

}  // namespace

Watch::Watch(std::vector<RankProcess> ranks, int rank, absl::Duration limit,
             Clock* clock)
    : ranks_(std::move(ranks)),
      rank_(rank),
      successor_((rank + 1) % static_cast<int>(ranks_.size())),
      limit_(limit),
      clock_(clock),
      last_beat_(clock->Now()),
      last_asked_(last_beat_) {
  CARACAL_CHECK(rank >= 0 && rank < static_cast<int>(ranks_.size()))
      << "rank " << rank;
}

std::vector<int> Watch::Neighbours() const {
  std::vector<int> out;
  for (int r = 0; r < static_cast<int>(ranks_.size()); ++r) {
    if (r != rank_ && ranks_[r].machine == ranks_[rank_].machine) {
      out.push_back(r);
    }
  }
  return out;
}

void Watch::Beat() { last_beat_ = clock_->Now(); }

void Watch::Ended(int rank) {
  if (ended_.empty()) {
    first_ended_ = rank;
    tell_end_after_ =
        clock_->Now() + (stopping_ ? kOutlive : absl::ZeroDuration());
  }
  ended_.insert(rank);
}

bool Watch::IsLowestLeft() const {
  for (const int r : Neighbours()) {
    if (r < rank_ && ended_.count(r) == 0) return false;
  }
  return true;
}

std::optional<LostRank> Watch::Lost() {
  const absl::Duration now = clock_->Now();
  if (now - last_asked_ > limit_ / 2) last_beat_ = now;
  last_asked_ = now;
  if (!ended_.empty() && now >= tell_end_after_ && IsLowestLeft()) {
    return LostRank{first_ended_,
                    "its process ended (killed, crashed, out of memory?)"};
  }
  // A successor that is seen to have ended is told of as that.
  if (ended_.count(successor_) == 0 && now - last_beat_ >= limit_) {
    return LostRank{
        successor_,
        absl::StrCat("no sign of life for ", absl::FormatDuration(limit_),
                     " (stopped, or its host is gone)")};
  }
  return std::nullopt;
}

}  // namespace caracal
