// Decides what a curriculum sets for coming steps. Pure: the same question has
// the same answer, in the process that trains and in a coordinator.
#ifndef CARACAL_JOBS_CURRICULUM_DIRECTOR_H_
#define CARACAL_JOBS_CURRICULUM_DIRECTOR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/curriculum/closed_loop.h"
#include "proto/job.pb.h"

namespace caracal {

// What is set for a step.
struct Directive {
  double drop_probability = 0;  // p
  int64_t window = 0;           // W, tokens; 0: the student's own
  bool operator==(const Directive&) const = default;
};

// What somebody has set over the schedule and the closed loop, until it is
// taken back.
struct Tuning {
  std::optional<double> drop_probability = {};
  std::optional<int64_t> window = {};
  std::string by = "";  // who did; "": nobody
  bool operator==(const Tuning&) const = default;
};

// Before which step training is.
struct CurriculumPoint {
  int stage = 0;     // of the job's list; one with a curriculum
  int64_t step = 0;  // the coming one, of the stage, from 0
  ClosedLoopState loop = {};
  // By the closed loop's probe after the step before.
  std::optional<UseMeasurement> measured = {};
};

// Directives of consecutive steps.
struct CurriculumWindow {
  int64_t first_step = 0;  // of the stage
  std::vector<Directive> directives = {};
  // Where the closed loop is now, and what it has decided, if it measured.
  ClosedLoopState loop = {};
  std::optional<ClosedLoopDecision> decision = {};

  bool Covers(int64_t step) const {
    return step >= first_step &&
           step < first_step + static_cast<int64_t>(directives.size());
  }
  const Directive& At(int64_t step) const {
    return directives[step - first_step];
  }
};

// Null where the stage has no curriculum, or the job no such stage.
const proto::Curriculum* CurriculumOf(const proto::Job& job, int stage);

// Where the closed loop begins in a stage of so many steps: at the first value
// of `drop`, within its bounds.
ClosedLoopState ClosedLoopAtStart(const proto::Curriculum& curriculum,
                                  int64_t steps);

// From the point's step on, at most `most` steps (> 0), and not beyond the
// closed loop's next probe or the end of the stage. kInvalidArgument when the
// job has no such stage, step or curriculum.
absl::StatusOr<CurriculumWindow> Direct(const proto::Job& job,
                                        const CurriculumPoint& point,
                                        const Tuning& tuning, int64_t most);

// kInvalidArgument when a value is out of range; kFailedPrecondition when no
// stage of the job has what it would change.
absl::Status CheckTuning(const proto::Job& job, const Tuning& tuning);

}  // namespace caracal

#endif  // CARACAL_JOBS_CURRICULUM_DIRECTOR_H_
