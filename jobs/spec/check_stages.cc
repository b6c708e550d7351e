#include "jobs/spec/check_stages.h"

#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/field_rules.h"

namespace caracal {
namespace {

// Whether W changes what the mode computes. Of la_past it says which keys are
// left; sinks_only divides out what the window's maximum contributes.
bool HasWindow(proto::ComponentMode mode) {
  return mode == proto::HYBRID || mode == proto::SWA_ONLY ||
         mode == proto::LA_PAST;
}

class StageChecker {
 public:
  StageChecker(const proto::Job& job, std::vector<Problem>* problems)
      : job_(job), problems_(*problems) {}

  void Check(const proto::Stage& stage, const std::string& path) {
    if (stage.has_transfer()) {
      CheckTransfer(stage.transfer(), JoinField(path, "transfer"));
    } else if (stage.has_finetune()) {
      CheckFinetune(stage.finetune(), JoinField(path, "finetune"));
    } else {
      Refuse(path, "is empty; expected transfer {...} or finetune {...}");
    }
  }

 private:
  void Refuse(const std::string& field, std::string message) {
    problems_.push_back({field, std::move(message), ""});
  }

  template <typename StageKind>
  void CheckSteps(const StageKind& stage, const std::string& path,
                  const char* shorthand) {
    if (!stage.has_steps()) {
      Refuse(JoinField(path, "steps"),
             absl::StrCat("is needed: give it, or ", shorthand));
    }
    const proto::LearningRateSchedule& schedule = stage.schedule();
    const std::string schedule_path = JoinField(path, "schedule");
    // Of what is out of its own range nothing follows.
    if (stage.has_steps() && stage.steps() >= 0 &&
        schedule.warmup_steps() > stage.steps()) {
      Refuse(JoinField(schedule_path, "warmup_steps"),
             absl::StrCat("is ", schedule.warmup_steps(),
                          ", more than the stage's ", stage.steps(), " steps"));
    }
    const auto check_end = [&](const char* shape, double to) {
      if (stage.lr() >= 0 && to > stage.lr()) {
        Refuse(absl::StrCat(schedule_path, ".", shape, ".to"),
               absl::StrCat("is ", to, ", above the stage's lr ", stage.lr()));
      }
    };
    if (schedule.has_linear()) check_end("linear", schedule.linear().to());
    if (schedule.has_cosine()) check_end("cosine", schedule.cosine().to());
    if (stage.has_early_stop()) CheckEarlyStop(path);
  }

  void CheckEarlyStop(const std::string& path) {
    const std::string field = JoinField(path, "early_stop");
    if (job_.data().validation().empty()) {
      Refuse(field, "needs data.validation, which is not given");
    } else if (job_.validation().every_steps() == 0) {
      Refuse(field,
             "needs validation.every_steps of at least 1: it is 0, so that "
             "there is no validation before the stage's end");
    }
    if (!job_.checkpoint().keep_best()) {
      Refuse("checkpoint.keep_best",
             absl::StrCat("is false, but ", field,
                          " goes back to the best checkpoint"));
    }
  }

  void CheckTransfer(const proto::TransferStage& stage,
                     const std::string& path) {
    CheckSteps(stage, path, "budget.transfer_steps");
    if (stage.early_stop().rule() == proto::EarlyStop::COMPONENT_AWARE) {
      Refuse(JoinField(path, "early_stop.rule"),
             "component_aware looks at losses of the whole model, which "
             "attention transfer leaves alone; expected validation_loss");
    }
    const proto::TransferLoss& loss = stage.loss();
    if (loss.mse() == 0 && loss.xent() == 0 && loss.kl() == 0) {
      Refuse(JoinField(path, "loss"), "mse, xent and kl are all 0");
    }
    CheckWindowFactors(stage, path);
    if (!stage.train_feature_maps() && !stage.train_window_factors()) {
      Refuse(path,
             "trains nothing: train_feature_maps and "
             "train_window_factors are both false");
    }
  }

  void CheckFinetune(const proto::FinetuneStage& stage,
                     const std::string& path) {
    CheckSteps(stage, path, "budget.finetune_steps");
    const proto::FinetuneLoss& loss = stage.loss();
    if (loss.lm() == 0 && loss.logit_kl() == 0) {
      Refuse(JoinField(path, "loss"), "lm and logit_kl are both 0");
    } else if (loss.logit_kl() == 0 &&
               loss.logit_kl_direction() != proto::FinetuneLoss::FORWARD) {
      Refuse(JoinField(path, "loss.logit_kl_direction"),
             "has no effect: logit_kl is 0");
    }
    CheckWindowFactors(stage, path);
    const proto::ComponentMode mode = stage.student_mode();
    if (stage.train_feature_maps() && !HasLinearPart(mode)) {
      Refuse(JoinField(path, "train_feature_maps"),
             absl::StrCat("has no effect in student_mode ",
                          proto::ComponentMode_Name(mode),
                          ", which has no linear part"));
    }
    if (!stage.train_lora() && !stage.train_feature_maps() &&
        !stage.train_window_factors()) {
      Refuse(path,
             "trains nothing: train_lora, train_feature_maps and "
             "train_window_factors are all false");
    }
    if (mode == proto::SINKS_ONLY && job_.attention().sinks() < 1) {
      Refuse(JoinField(path, "student_mode"),
             "sinks_only needs attention.sinks of at least 1");
    }
    if (stage.early_stop().rule() == proto::EarlyStop::COMPONENT_AWARE &&
        !HasLinearPart(mode)) {
      Refuse(JoinField(path, "early_stop.rule"),
             absl::StrCat("component_aware looks at the use of the linear "
                          "part, which student_mode ",
                          proto::ComponentMode_Name(mode),
                          " leaves out; expected validation_loss"));
    }
    if (stage.has_curriculum()) {
      CheckCurriculum(stage, JoinField(path, "curriculum"));
    }
  }

  // gamma weighs one part against the other; with one alone it divides out.
  template <typename StageKind>
  void CheckWindowFactors(const StageKind& stage, const std::string& path) {
    const proto::ComponentMode mode = stage.student_mode();
    if (!stage.train_window_factors() || mode == proto::HYBRID) return;
    Refuse(JoinField(path, "train_window_factors"),
           absl::StrCat("has no effect in student_mode ",
                        proto::ComponentMode_Name(mode),
                        ", which has one part only: the factors weigh the "
                        "softmax part against the linear part"));
  }

  void CheckCurriculum(const proto::FinetuneStage& stage,
                       const std::string& path) {
    const proto::Curriculum& curriculum = stage.curriculum();
    const proto::ComponentMode mode = stage.student_mode();
    if (!curriculum.has_drop() && !curriculum.has_window() &&
        !curriculum.has_closed_loop()) {
      Refuse(path, "changes nothing; expected drop, window or closed_loop");
    }
    if (curriculum.has_drop()) {
      CheckValueSchedule(curriculum.drop(), JoinField(path, "drop"), {0, 1});
    }
    if (curriculum.has_window()) {
      CheckValueSchedule(curriculum.window(), JoinField(path, "window"),
                         {1, 1 << 20});
      if (!HasWindow(mode)) {
        Refuse(JoinField(path, "window"),
               absl::StrCat("has no effect in student_mode ",
                            proto::ComponentMode_Name(mode),
                            ", which has no window"));
      }
    }
    for (const auto& [has, name] :
         {std::pair(curriculum.has_drop(), "drop"),
          std::pair(curriculum.has_closed_loop(), "closed_loop")}) {
      if (!has || mode == proto::HYBRID) continue;
      Refuse(JoinField(path, name),
             absl::StrCat("drops the window of hybrid steps, but student_mode "
                          "is ",
                          proto::ComponentMode_Name(mode)));
    }
    if (curriculum.drop_keeps_sinks() && job_.attention().sinks() < 1) {
      Refuse(JoinField(path, "drop_keeps_sinks"),
             "needs attention.sinks of at least 1");
    }
    if (curriculum.drop_keeps_sinks() &&
        curriculum.drop_mode() != proto::LA_PAST) {
      Refuse(JoinField(path, "drop_keeps_sinks"),
             "only goes with drop_mode la_past");
    }
    if (curriculum.has_closed_loop()) {
      CheckClosedLoop(stage, JoinField(path, "closed_loop"));
    }
  }

  void CheckClosedLoop(const proto::FinetuneStage& stage,
                       const std::string& path) {
    const proto::ClosedLoop& loop = stage.curriculum().closed_loop();
    if (loop.p_max() < loop.p_min()) {
      Refuse(JoinField(path, "p_max"),
             absl::StrCat("is ", loop.p_max(), ", below p_min ", loop.p_min()));
    }
    // A stage of no step is skipped, and may be what is wanted.
    if (stage.steps() > 0 && loop.every() > stage.steps()) {
      Refuse(JoinField(path, "every"),
             absl::StrCat("is ", loop.every(), ", more than the stage's ",
                          stage.steps(), " steps: p would never be steered"));
    }
    if (job_.data().validation().empty()) {
      Refuse(path, "needs data.validation, which is not given");
    }
  }

  void CheckValueSchedule(const proto::ValueSchedule& schedule,
                          const std::string& path, const NumberRange& range) {
    const int kinds = (schedule.step_size() > 0) + schedule.has_constant() +
                      schedule.has_linear() + schedule.has_cosine();
    if (kinds != 1) {
      Refuse(path, "expected exactly one of step, constant, linear, cosine");
    }
    const auto check = [&](const std::string& field, double value) {
      if (!range.Contains(value)) {
        Refuse(JoinField(path, field),
               absl::StrCat("is ", value, ", must be ", range.ToString()));
      }
    };
    for (int i = 0; i < schedule.step_size(); ++i) {
      check(FieldAt("step", i), schedule.step(i));
    }
    if (schedule.has_constant()) check("constant", schedule.constant());
    const auto check_ramp = [&](const std::string& name,
                                const proto::ValueSchedule::Ramp& ramp) {
      for (const auto& [has, end, value] :
           {std::tuple(ramp.has_from(), "from", ramp.from()),
            std::tuple(ramp.has_to(), "to", ramp.to())}) {
        const std::string field = JoinField(name, end);
        if (has) {
          check(field, value);
        } else {
          Refuse(JoinField(path, field), "is needed but not given");
        }
      }
    };
    if (schedule.has_linear()) check_ramp("linear", schedule.linear());
    if (schedule.has_cosine()) check_ramp("cosine", schedule.cosine());
  }

  const proto::Job& job_;
  std::vector<Problem>& problems_;
};

}  // namespace

bool HasLinearPart(proto::ComponentMode mode) {
  return mode == proto::HYBRID || mode == proto::LA_ONLY ||
         mode == proto::LA_PAST;
}

bool TakesSteps(const proto::Stage& stage) {
  const bool given = stage.has_transfer() ? stage.transfer().has_steps()
                                          : stage.finetune().has_steps();
  const int32_t steps = stage.has_transfer() ? stage.transfer().steps()
                                             : stage.finetune().steps();
  return !given || steps > 0;
}

proto::ComponentMode StudentModeOf(const proto::Stage& stage) {
  return stage.has_transfer() ? stage.transfer().student_mode()
                              : stage.finetune().student_mode();
}

void CheckStages(const proto::Job& expanded, std::vector<Problem>* problems) {
  StageChecker checker(expanded, problems);
  for (int i = 0; i < expanded.stages_size(); ++i) {
    checker.Check(expanded.stages(i), FieldAt("stages", i));
  }
}

}  // namespace caracal
