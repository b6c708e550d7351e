// What is known of a job from its events, as lines for a terminal.
#ifndef CARACAL_JOBS_CLIENT_SERVICE_WATCH_VIEW_H_
#define CARACAL_JOBS_CLIENT_SERVICE_WATCH_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/client/console.h"
#include "proto/coordinator.pb.h"

namespace caracal {

// Values over a stage's steps.
class StepSeries {
 public:
  void Add(double value) { values_.push_back(value); }
  void Clear() { values_.clear(); }
  bool empty() const { return values_.empty(); }
  double last() const { return values_.back(); }
  // At most `columns` of them: means of equally many.
  std::vector<double> Binned(int columns) const;

 private:
  std::vector<double> values_;
};

class WatchView {
 public:
  // `job`: with its text, so that its stages are known.
  explicit WatchView(const proto::JobInfo& job);

  // What people are told of it in a line of its own; "": nothing.
  std::string Add(const proto::JobEvent& event);

  // The whole of it, at `now`. No line is wider than the console.
  std::vector<std::string> Lines(const Console& console, absl::Time now) const;

  proto::JobState state() const { return state_; }
  // The last step in one line; "" before the first.
  std::string StepLine() const;

 private:
  struct Stage {
    std::string name;
    int64_t steps = 0;
  };

  void AddMetrics(const std::string& data);
  std::string AddState(const proto::JobEvent& event);
  // Of the layers from the first to the last, on a scale from 0; "": not
  // measured.
  std::string LaMassBars(int room, bool unicode) const;

  const proto::JobInfo job_;
  std::vector<Stage> stages_;
  proto::JobState state_;
  std::string reason_;
  absl::Time changed_;
  int64_t gangs_ = 0;
  // Of the last step.
  int stage_ = -1;
  int64_t step_ = 0;
  bool held_ = false;
  // Of its stage.
  StepSeries loss_, validation_, tokens_per_s_, drop_, window_, ratio_;
  StepSeries use_, potential_;
  std::vector<double> la_mass_;     // by layer, as last measured; may be empty
  std::vector<std::string> hosts_;  // of the gang's ranks; empty: not told
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_SERVICE_WATCH_VIEW_H_
