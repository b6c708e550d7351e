#include "jobs/curriculum/director.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "jobs/curriculum/schedule.h"

namespace caracal {
namespace {

constexpr int64_t kWidestWindow = 1 << 20;  // as job.proto has it

bool Drops(const proto::Curriculum& curriculum) {
  return curriculum.has_drop() || curriculum.has_closed_loop();
}

}  // namespace

const proto::Curriculum* CurriculumOf(const proto::Job& job, int stage) {
  if (stage < 0 || stage >= job.stages_size()) return nullptr;
  const proto::FinetuneStage& finetune = job.stages(stage).finetune();
  return finetune.has_curriculum() ? &finetune.curriculum() : nullptr;
}

ClosedLoopState ClosedLoopAtStart(const proto::Curriculum& curriculum,
                                  int64_t steps) {
  ClosedLoopState state;
  if (!curriculum.has_closed_loop()) return state;
  const proto::ClosedLoop& loop = curriculum.closed_loop();
  const double start =
      curriculum.has_drop() ? ValueAt(curriculum.drop(), 0, steps) : 0;
  state.drop_probability = std::clamp(start, loop.p_min(), loop.p_max());
  return state;
}

absl::StatusOr<CurriculumWindow> Direct(const proto::Job& job,
                                        const CurriculumPoint& point,
                                        const Tuning& tuning, int64_t most) {
  const proto::Curriculum* const curriculum = CurriculumOf(job, point.stage);
  if (curriculum == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("stage ", point.stage, " of the job has no curriculum"));
  }
  const int64_t steps = job.stages(point.stage).finetune().steps();
  // The probe after the last step asks for the step that never comes.
  if (point.step < 0 || point.step > steps) {
    return absl::InvalidArgumentError(
        absl::StrCat("stage ", point.stage, " of the job has ", steps,
                     " steps, and no step ", point.step));
  }
  CurriculumWindow out;
  out.first_step = point.step;
  out.loop = point.loop;
  int64_t end = std::min(steps, point.step + most);
  if (curriculum->has_closed_loop()) {
    const proto::ClosedLoop& loop = curriculum->closed_loop();
    if (point.measured.has_value()) {
      out.decision = SteerDropout(loop, *point.measured, &out.loop);
    }
    const int64_t every = loop.every();
    end = std::min(end, (point.step / every + 1) * every);
  }
  for (int64_t step = point.step; step < end; ++step) {
    const ScheduledValues scheduled =
        ScheduledValuesAt(*curriculum, step, steps);
    Directive directive = {scheduled.drop_probability, scheduled.window};
    if (curriculum->has_closed_loop()) {
      directive.drop_probability = out.loop.drop_probability;
    }
    if (Drops(*curriculum) && tuning.drop_probability.has_value()) {
      directive.drop_probability = *tuning.drop_probability;
    }
    if (curriculum->has_window() && tuning.window.has_value()) {
      directive.window = *tuning.window;
    }
    out.directives.push_back(directive);
  }
  return out;
}

absl::Status CheckTuning(const proto::Job& job, const Tuning& tuning) {
  bool drops = false, windows = false;
  for (int stage = 0; stage < job.stages_size(); ++stage) {
    if (const proto::Curriculum* c = CurriculumOf(job, stage)) {
      drops |= Drops(*c);
      windows |= c->has_window();
    }
  }
  std::vector<std::string> out_of_range, without_stage;
  if (const auto& p = tuning.drop_probability; p.has_value()) {
    if (!(*p >= 0 && *p <= 1)) {
      out_of_range.push_back(
          absl::StrCat("drop_probability: is ", *p, ", expected 0 to 1"));
    } else if (!drops) {
      without_stage.push_back(
          "drop_probability: no stage of the job has a curriculum that drops "
          "(curriculum.drop or curriculum.closed_loop)");
    }
  }
  if (const auto& w = tuning.window; w.has_value()) {
    if (*w < 1 || *w > kWidestWindow) {
      out_of_range.push_back(absl::StrCat("window: is ", *w, ", expected 1 to ",
                                          kWidestWindow, " tokens"));
    } else if (!windows) {
      without_stage.push_back(
          "window: no stage of the job has a curriculum of the window "
          "(curriculum.window)");
    }
  }
  std::vector<std::string> all = out_of_range;
  all.insert(all.end(), without_stage.begin(), without_stage.end());
  if (!out_of_range.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(all, "; "));
  }
  if (!without_stage.empty()) {
    return absl::FailedPreconditionError(absl::StrJoin(all, "; "));
  }
  return absl::OkStatus();
}

}  // namespace caracal
