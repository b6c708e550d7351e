// How far a run is: on a terminal one line that is redrawn in place, in a file
// or pipe a plain line now and then.
//
//   1/2 transfer  12/32  ━━━━━━━──────────  38%  loss 0.5123  1,234 tok/s  1
//   min 20 s left
#ifndef CARACAL_JOBS_CLIENT_PROGRESS_H_
#define CARACAL_JOBS_CLIENT_PROGRESS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "jobs/client/console.h"

namespace caracal {

// One stage as planned.
struct ProgressStage {
  std::string name;
  int64_t steps = 0;
  // What a step costs, in any unit that all stages share (FLOPs, say): makes
  // the time of stages to come known from those that ran.
  double step_cost = 1;
};

struct ProgressUpdate {
  int stage = 0;     // index into the stages
  int64_t step = 0;  // steps of it that are done
  // NaN: not shown.
  double loss = std::numeric_limits<double>::quiet_NaN();
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
  double tokens_per_s = std::numeric_limits<double>::quiet_NaN();
};

// Writes to console.err. Never hides the cursor, so nothing is left to be
// restored however the process ends. Not thread-safe.
class Progress {
 public:
  // `console` and `clock` outlive this.
  Progress(const Console* console, std::vector<ProgressStage> stages,
           Clock* clock);
  ~Progress() { Finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Terminals are redrawn at most every 100 ms, plain lines come at most every
  // 10 s; the first and the last step of a stage are always shown.
  void Update(const ProgressUpdate& update);

  // A line of its own, above the live line.
  void Note(absl::string_view line);

  // Ends the live line. Later updates begin a new one.
  void Finish();

  // Of the whole run, from the steps seen so far; infinite before two.
  absl::Duration TimeLeft() const;

 private:
  std::string PlainLine() const;
  std::string LiveLine(int columns) const;
  void Draw();

  const Console& console_;
  const std::vector<ProgressStage> stages_;
  Clock& clock_;
  const bool live_;

  ProgressUpdate now_;
  bool drawn_ = false;  // a live line stands on the terminal
  absl::Duration last_shown_ = -absl::InfiniteDuration();
  // Cost done and time taken since the first update.
  int first_stage_ = -1;
  int64_t first_step_ = 0;
  absl::Duration first_time_, now_time_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_PROGRESS_H_
