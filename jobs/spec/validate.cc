#include "jobs/spec/validate.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/field_rules.h"
#include "jobs/spec/presets.h"
#include "jobs/spec/support.h"

namespace caracal {
namespace {

class Validator {
 public:
  Validator(const proto::Job& job, std::vector<Problem>* problems)
      : job_(job), problems_(*problems) {}

  void CheckAll() {
    CheckStages();
    CheckPath("model.path", job_.model().path());
    CheckPath("data.path", job_.data().path());
    CheckAttention();
    CheckBatch();
    CheckLora();
    CheckEvaluation();
  }

 private:
  void Refuse(const std::string& field, std::string message) {
    problems_.push_back({field, std::move(message), ""});
  }

  // Whether the field has a problem already, so that what follows from its
  // value need not be told.
  bool Reported(const std::string& field) const {
    return std::any_of(
        problems_.begin(), problems_.end(),
        [&](const Problem& problem) { return problem.field == field; });
  }

  void CheckPath(const std::string& field, const std::string& path) {
    if (path.empty()) Refuse(field, "is needed but not given");
  }

  void CheckStages() {
    if (job_.has_preset()) {
      if (job_.stages_size() > 0) {
        Refuse("preset", "cannot stand beside stages; give one of the two");
      }
    } else if (job_.stages_size() == 0) {
      Refuse("stages", absl::StrCat("a job needs stages, or a preset: one of ",
                                    absl::StrJoin(PresetNames(), ", ")));
    }
    for (int i = 0; i < job_.stages_size(); ++i) {
      const proto::Stage& stage = job_.stages(i);
      const std::string path = FieldAt("stages", i);
      if (stage.has_transfer()) {
        CheckTransfer(stage.transfer(), JoinField(path, "transfer"));
      } else if (stage.has_finetune()) {
        CheckFinetune(stage.finetune(), JoinField(path, "finetune"));
      } else {
        Refuse(path, "is empty; expected transfer {...} or finetune {...}");
      }
    }
    CheckUnusedSteps();
  }

  // After the expansion, a shorthand that is still there found every stage
  // of its kind with steps of its own.
  void CheckUnusedSteps() {
    const proto::Budget& budget = job_.budget();
    const auto refuse = [&](const char* field, const char* kind) {
      if (job_.stages_size() == 0) return;
      Refuse(field, absl::StrCat("the ", kind, " stages give other steps; set ",
                                 "either this or their steps"));
    };
    if (budget.has_transfer_steps()) {
      refuse("budget.transfer_steps", "transfer");
    }
    if (budget.has_finetune_steps()) {
      refuse("budget.finetune_steps", "finetune");
    }
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
    if (stage.has_steps() && schedule.warmup_steps() > stage.steps()) {
      Refuse(JoinField(schedule_path, "warmup_steps"),
             absl::StrCat("is ", schedule.warmup_steps(),
                          ", more than the stage's ", stage.steps(), " steps"));
    }
    const auto check_end = [&](const char* shape, double to) {
      if (to > stage.lr()) {
        Refuse(absl::StrCat(schedule_path, ".", shape, ".to"),
               absl::StrCat("is ", to, ", above the stage's lr ", stage.lr()));
      }
    };
    if (schedule.has_linear()) check_end("linear", schedule.linear().to());
    if (schedule.has_cosine()) check_end("cosine", schedule.cosine().to());
    if (stage.has_early_stop() && job_.data().validation().empty()) {
      Refuse(JoinField(path, "early_stop"),
             "needs data.validation, which is not given");
    }
    if (stage.has_early_stop() && !job_.checkpoint().keep_best()) {
      Refuse("checkpoint.keep_best",
             absl::StrCat("is false, but ", path,
                          ".early_stop goes back to the best checkpoint"));
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
    if (stage.train_window_factors() && stage.student_mode() != proto::HYBRID) {
      Refuse(JoinField(path, "train_window_factors"),
             absl::StrCat("has no effect in student_mode ",
                          proto::ComponentMode_Name(stage.student_mode()),
                          ", which has no softmax part"));
    }
    if (!stage.train_feature_maps() && !stage.train_window_factors()) {
      Refuse(path,
             "trains nothing: train_feature_maps and "
             "train_window_factors are both false");
    }
  }

  void CheckFinetune(const proto::FinetuneStage& stage,
                     const std::string& path) {
    CheckSteps(stage, path, "budget.finetune_steps");
    if (stage.loss().lm() == 0 && stage.loss().logit_kl() == 0) {
      Refuse(JoinField(path, "loss"), "lm and logit_kl are both 0");
    }
    if (!stage.train_lora() && !stage.train_feature_maps() &&
        !stage.train_window_factors()) {
      Refuse(path,
             "trains nothing: train_lora, train_feature_maps and "
             "train_window_factors are all false");
    }
    if (stage.student_mode() == proto::SINKS_ONLY) {
      NeedSinks(JoinField(path, "student_mode"));
    }
    if (stage.has_curriculum()) {
      CheckCurriculum(stage.curriculum(), stage.student_mode(),
                      JoinField(path, "curriculum"));
    }
  }

  void NeedSinks(const std::string& field) {
    if (job_.attention().sinks() < 1) {
      Refuse(field, "sinks_only needs attention.sinks of at least 1");
    }
  }

  void CheckCurriculum(const proto::Curriculum& curriculum,
                       proto::ComponentMode stage_mode,
                       const std::string& path) {
    if (curriculum.has_drop()) {
      CheckValueSchedule(curriculum.drop(), JoinField(path, "drop"), {0, 1});
    }
    if (curriculum.has_window()) {
      CheckValueSchedule(curriculum.window(), JoinField(path, "window"),
                         {1, 1 << 20});
    }
    if (curriculum.has_drop() && stage_mode != proto::HYBRID) {
      Refuse(JoinField(path, "drop"),
             absl::StrCat("drops the window of hybrid steps, but student_mode "
                          "is ",
                          proto::ComponentMode_Name(stage_mode)));
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
      const proto::ClosedLoop& loop = curriculum.closed_loop();
      if (loop.p_max() < loop.p_min()) {
        Refuse(
            JoinField(path, "closed_loop.p_max"),
            absl::StrCat("is ", loop.p_max(), ", below p_min ", loop.p_min()));
      }
      if (job_.data().validation().empty()) {
        Refuse(JoinField(path, "closed_loop"),
               "needs data.validation, which is not given");
      }
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

  void CheckAttention() {
    const proto::Attention& attention = job_.attention();
    if (attention.has_features() && attention.features() % 2 != 0 &&
        !Reported("attention.features")) {
      Refuse("attention.features",
             absl::StrCat("is ", attention.features(), ", must be even"));
    }
    const std::string& map = attention.feature_map();
    if (attention.half_space() && map != "hedgehog" && map != "exp") {
      Refuse("attention.half_space",
             absl::StrCat("goes with feature_map hedgehog and exp, whose "
                          "outputs are two halves; '",
                          map, "' has none that could stand alone"));
    }
    if (map == "t2r" && !attention.feature_bias()) {
      Refuse("attention.feature_bias",
             "is false, but t2r is relu(x W + b): a row of negative x W alone "
             "would have no feature at all");
    }
    std::set<int> layers;
    for (int i = 0; i < attention.softmax_layers_size(); ++i) {
      if (!layers.insert(attention.softmax_layers(i)).second) {
        Refuse(FieldAt("attention.softmax_layers", i),
               absl::StrCat("layer ", attention.softmax_layers(i),
                            " is there twice"));
      }
    }
  }

  void CheckBatch() {
    const int batch = job_.budget().batch();
    const int data = job_.parallel().data();
    const int micro = job_.budget().micro_batch();
    if (Reported("budget.batch") || Reported("budget.micro_batch") ||
        Reported("parallel.data")) {
      return;
    }
    if (batch % data != 0) {
      Refuse("budget.batch",
             absl::StrCat("is ", batch, ", which parallel.data ", data,
                          " does not divide"));
    } else if (batch / data % micro != 0) {
      Refuse("budget.micro_batch",
             absl::StrCat("is ", micro, ", which does not divide the ",
                          batch / data, " rows a rank has of each batch"));
    }
  }

  void CheckLora() {
    std::set<std::string> names;
    for (int i = 0; i < job_.lora().projections_size(); ++i) {
      if (!names.insert(job_.lora().projections(i)).second) {
        Refuse(
            FieldAt("lora.projections", i),
            absl::StrCat("'", job_.lora().projections(i), "' is there twice"));
      }
    }
  }

  // The stages train feature maps at all, or LoRA alone.
  bool TrainsFeatureMaps() const {
    for (const proto::Stage& stage : job_.stages()) {
      if (stage.transfer().train_feature_maps() ||
          stage.finetune().train_feature_maps()) {
        return true;
      }
    }
    return false;
  }

  void CheckGamma() {
    const proto::Evaluation& e = job_.evaluation();
    if (e.gamma_override_size() == 0 || job_.stages_size() == 0) return;
    proto::ComponentMode mode = e.eval_mode();
    if (!e.has_eval_mode()) {
      const proto::Stage& last = job_.stages(job_.stages_size() - 1);
      mode = last.has_transfer() ? last.transfer().student_mode()
                                 : last.finetune().student_mode();
    }
    if (mode != proto::HYBRID) {
      Refuse("evaluation.gamma_override",
             absl::StrCat("weighs the two parts of hybrid attention, but the "
                          "finished model runs in ",
                          proto::ComponentMode_Name(mode),
                          "; set evaluation.eval_mode to HYBRID"));
    }
    if (!TrainsFeatureMaps()) {
      Refuse("evaluation.gamma_override",
             "no stage trains feature maps: there is no linear part to weigh");
    }
  }

  void CheckEvaluation() {
    CheckGamma();
    for (int i = 0; i < job_.evaluation().modes_size(); ++i) {
      if (job_.evaluation().modes(i) == proto::SINKS_ONLY) {
        NeedSinks(FieldAt("evaluation.modes", i));
      }
    }
  }

  const proto::Job& job_;
  std::vector<Problem>& problems_;
};

void CheckFile(const std::string& field, const std::string& path,
               FileSystem* files, std::vector<Problem>* problems) {
  if (path.empty()) return;
  if (!files->Exists(path)) {
    problems->push_back({field, absl::StrCat(path, " does not exist"), ""});
  } else if (files->IsFolder(path)) {
    problems->push_back(
        {field, absl::StrCat(path, " is a folder, expected a file"), ""});
  }
}

}  // namespace

void ValidateJob(const proto::Job& expanded, std::vector<Problem>* problems) {
  CheckFieldRules(expanded, "", problems);
  Validator(expanded, problems).CheckAll();
  CheckSupport(expanded, problems);
}

void CheckJobFiles(const proto::Job& expanded, FileSystem* files,
                   std::vector<Problem>* problems) {
  const std::string& model = expanded.model().path();
  if (!model.empty() && files->IsFolder(model)) {
    if (!files->Exists(JoinPath(model, "config.json"))) {
      problems->push_back(
          {"model.path",
           absl::StrCat(model,
                        " has no config.json: expected a Hugging Face "
                        "folder or a GGUF file"),
           ""});
    }
  } else {
    CheckFile("model.path", model, files, problems);
  }
  CheckFile("data.path", expanded.data().path(), files, problems);
  CheckFile("data.validation", expanded.data().validation(), files, problems);
}

}  // namespace caracal
