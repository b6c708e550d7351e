#include "jobs/client/progress.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "eval/report/numbers.h"
#include "eval/report/text.h"
#include "jobs/client/progress_words.h"
#include "jobs/client/table.h"

namespace caracal {
namespace {

constexpr absl::Duration kRedrawInterval = absl::Milliseconds(100);
constexpr absl::Duration kLineInterval = absl::Seconds(10);
constexpr int kLeastBar = 8, kMostBar = 40;  // columns

// Steps of a stage, all of them when `stage` lies behind.
double CostUpTo(const std::vector<ProgressStage>& stages, int stage,
                int64_t step) {
  double cost = 0;
  for (int i = 0; i < stage; ++i) {
    cost += stages[i].steps * stages[i].step_cost;
  }
  return cost + step * stages[stage].step_cost;
}

// To the second: more would flicker.
std::string TimeLeftText(absl::Duration left) {
  const double seconds = std::ceil(absl::ToDoubleSeconds(left));
  return absl::StrCat(
      seconds < 60 ? absl::StrCat(seconds, " s") : Duration(seconds), " left");
}

}  // namespace

Progress::Progress(const Console* console, std::vector<ProgressStage> stages,
                   Clock* clock)
    : console_(*console),
      stages_(std::move(stages)),
      clock_(*clock),
      live_(console->StyledErr()) {}

void Progress::Update(const ProgressUpdate& update) {
  CARACAL_CHECK(update.stage >= 0 && update.stage < stages_.size())
      << "stage " << update.stage << " of " << stages_.size();
  const bool new_stage = first_stage_ < 0 || update.stage != now_.stage;
  // A validation loss is shown until there is a newer one.
  const double validation_loss =
      std::isnan(update.validation_loss) && !new_stage ? now_.validation_loss
                                                       : update.validation_loss;
  now_ = update;
  now_.validation_loss = validation_loss;
  now_time_ = clock_.Now();
  if (first_stage_ < 0) {
    first_stage_ = update.stage;
    first_step_ = update.step;
    first_time_ = now_time_;
  }
  const bool last = update.step >= stages_[update.stage].steps;
  const absl::Duration interval = live_ ? kRedrawInterval : kLineInterval;
  if (!new_stage && !last && now_time_ - last_shown_ < interval) return;
  last_shown_ = now_time_;
  // A finished stage stays on the screen.
  if (live_ && new_stage) Finish();
  Draw();
}

void Progress::Draw() {
  if (live_) {
    // One column stays free: some terminals wrap a full line.
    console_.err << "\r" << LiveLine(console_.columns() - 1) << "\x1b[K"
                 << std::flush;
    drawn_ = true;
  } else {
    console_.err << PlainLine() << "\n" << std::flush;
  }
}

void Progress::Note(absl::string_view line) {
  if (drawn_) console_.err << "\r\x1b[K";
  console_.err << Printable(line) << "\n";
  if (drawn_) Draw();
  console_.err << std::flush;
}

void Progress::Finish() {
  if (!drawn_) return;
  console_.err << "\n" << std::flush;
  drawn_ = false;
}

absl::Duration Progress::TimeLeft() const {
  if (first_stage_ < 0) return absl::InfiniteDuration();
  const double done = CostUpTo(stages_, now_.stage, now_.step);
  const double seen = done - CostUpTo(stages_, first_stage_, first_step_);
  const int last = static_cast<int>(stages_.size()) - 1;
  const double left = CostUpTo(stages_, last, stages_[last].steps) - done;
  if (left <= 0) return absl::ZeroDuration();
  if (seen <= 0) return absl::InfiniteDuration();
  return (now_time_ - first_time_) * (left / seen);
}

std::string Progress::PlainLine() const {
  const ProgressStage& stage = stages_[now_.stage];
  std::string line =
      absl::StrCat(stage.name, " step ", now_.step, "/", stage.steps);
  if (!std::isnan(now_.loss)) {
    absl::StrAppend(&line, ", loss ", LossText(now_.loss));
  }
  if (!std::isnan(now_.validation_loss)) {
    absl::StrAppend(&line, ", validation ", LossText(now_.validation_loss));
  }
  if (!std::isnan(now_.tokens_per_s)) {
    absl::StrAppend(&line, ", ", Count(std::llround(now_.tokens_per_s)),
                    " tokens/s");
  }
  const absl::Duration left = TimeLeft();
  if (left != absl::InfiniteDuration()) {
    absl::StrAppend(&line, ", ", TimeLeftText(left));
  }
  return line;
}

std::string Progress::LiveLine(int columns) const {
  const ProgressStage& stage = stages_[now_.stage];
  const double done =
      stage.steps > 0 ? static_cast<double>(now_.step) / stage.steps : 1;
  const std::string steps = absl::StrCat(stage.steps);
  const std::string head = absl::StrFormat(
      "%d/%d %s  %*d/%s", now_.stage + 1, stages_.size(), stage.name,
      static_cast<int>(steps.size()), now_.step, steps);
  // In the order in which they are kept where room is short.
  std::vector<std::string> parts;
  if (!std::isnan(now_.loss)) {
    parts.push_back(absl::StrCat("loss ", LossText(now_.loss)));
  }
  const absl::Duration left = TimeLeft();
  if (left != absl::InfiniteDuration()) {
    parts.push_back(TimeLeftText(left));
  }
  if (!std::isnan(now_.tokens_per_s)) {
    parts.push_back(
        absl::StrCat(Count(std::llround(now_.tokens_per_s)), " tok/s"));
  }
  if (!std::isnan(now_.validation_loss)) {
    parts.push_back(
        absl::StrCat("validation ", LossText(now_.validation_loss)));
  }
  constexpr int kSpace = 2;  // columns between parts
  int room = columns - TerminalColumns(head);
  std::string tail;
  for (const std::string& part : parts) {
    if (room < kSpace + TerminalColumns(part)) break;
    room -= kSpace + TerminalColumns(part);
    absl::StrAppend(&tail, "  ", part);
  }
  std::string bar;
  const std::string percent =
      absl::StrFormat(" %3.0f%%", std::floor(100 * done));
  const int bar_room = room - kSpace - TerminalColumns(percent);
  if (bar_room >= kLeastBar) {
    bar = absl::StrCat(
        "  ", Bar(done, std::min(bar_room, kMostBar), console_.unicode),
        percent);
  }
  return CutToColumns(absl::StrCat(head, bar, tail), std::max(columns, 1),
                      console_.unicode);
}

}  // namespace caracal
