#include "jobs/worker/directed_curriculum.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/curriculum_wire.h"

namespace caracal {
namespace {

std::string Words(const Directive& directive) {
  return absl::StrCat(
      absl::StrFormat("p = %g", directive.drop_probability),
      directive.window > 0 ? absl::StrCat(", W = ", directive.window) : "");
}

}  // namespace

absl::StatusOr<CurriculumAnswer> DirectedCurriculum::Ask(
    const CurriculumPoint& point) {
  ASSIGN_OR_RETURN(const proto::DirectResponse response,
                   o_.link->Direct(ToProto(point)));
  CurriculumAnswer answer = {WindowFromProto(response, point.step)};
  tunings_ = response.tunings();
  if (point.measured.has_value()) {
    // The same from the same: what it has decided is where the loop now is.
    ClosedLoopState loop = point.loop;
    answer.window.decision =
        SteerDropout(CurriculumOf(*o_.job, point.stage)->closed_loop(),
                     *point.measured, &loop);
    answer.window.decision->drop_probability =
        answer.window.loop.drop_probability;
  }
  return answer;
}

CurriculumAnswer DirectedCurriculum::Hold(const CurriculumPoint& point,
                                          const Directive& directive) const {
  CurriculumAnswer answer;
  answer.held = true;
  answer.window.first_step = point.step;
  answer.window.directives = {directive};
  answer.window.loop = point.loop;
  if (point.measured.has_value()) {
    answer.window.decision =
        SteerDropout(CurriculumOf(*o_.job, point.stage)->closed_loop(),
                     *point.measured, &answer.window.loop);
  }
  return answer;
}

absl::StatusOr<CurriculumAnswer> DirectedCurriculum::Direct(
    const CurriculumPoint& point) {
  const proto::Curriculum* const curriculum =
      CurriculumOf(*o_.job, point.stage);
  if (curriculum == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("stage ", point.stage, " has no curriculum"));
  }
  // What was set for the step before this one.
  if (stage_ != point.stage) last_.reset();
  if (stage_ == point.stage && window_.Covers(point.step - 1)) {
    last_ = window_.At(point.step - 1);
  }
  const bool hold = curriculum->when_away() != proto::Curriculum::PAUSE;
  while (true) {
    absl::StatusOr<CurriculumAnswer> answer = Ask(point);
    if (answer.ok()) {
      if (std::exchange(told_, false)) {
        o_.tell("the coordinator directs the curriculum again");
      }
      stage_ = point.stage;
      window_ = answer->window;
      return answer;
    }
    if (!absl::IsUnavailable(answer.status())) return answer.status();
    if (o_.otherwise != nullptr && tunings_ == 0 && !Changed()) {
      return o_.otherwise->Direct(point);
    }
    // It may have been asked for a tuning only: what it said still holds.
    if (stage_ == point.stage && window_.Covers(point.step) &&
        !point.measured.has_value()) {
      CurriculumAnswer known = Hold(point, window_.At(point.step));
      known.held = false;
      return known;
    }
    if (hold && last_.has_value()) {
      if (!std::exchange(told_, true)) {
        o_.tell(absl::StrCat("the coordinator is away; from step ",
                             point.step + 1,
                             " of the stage on the curriculum "
                             "holds its last values: ",
                             Words(*last_)));
      }
      return Hold(point, *last_);
    }
    if (!std::exchange(told_, true)) {
      o_.tell(
          absl::StrCat("the coordinator is away; training waits for it "
                       "before step ",
                       point.step + 1, " of the stage"));
    }
    if (o_.stop != nullptr && *o_.stop) {
      return absl::CancelledError("stopped while waiting for the coordinator");
    }
    absl::SleepFor(o_.try_again);
  }
}

}  // namespace caracal
