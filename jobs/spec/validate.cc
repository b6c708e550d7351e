#include "jobs/spec/validate.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/check_stages.h"
#include "jobs/spec/field_rules.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/presets.h"
#include "jobs/spec/slurm_fields.h"

namespace caracal {
namespace {

class Validator {
 public:
  Validator(const proto::Job& job, std::vector<Problem>* problems)
      : job_(job), problems_(*problems) {}

  void CheckAll() {
    CheckStageList();
    CheckPath("model.path", job_.model().path());
    CheckPath("data.path", job_.data().path());
    CheckAttention();
    CheckBatch();
    CheckLora();
    CheckEvaluation();
    CheckLayers();
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

  void CheckStageList() {
    if (job_.has_preset()) {
      if (job_.stages_size() > 0) {
        Refuse("preset", "cannot stand beside stages; give one of the two");
      }
    } else if (job_.stages_size() == 0) {
      Refuse("stages", absl::StrCat("a job needs stages, or a preset: one of ",
                                    absl::StrJoin(PresetNames(), ", ")));
    }
    CheckStages(job_, &problems_);
    CheckUnusedShorthands();
  }

  // After the expansion, a shorthand that is still there found no stage to go
  // to, or every stage of its kind with a value of its own.
  void CheckUnusedShorthands() {
    if (job_.stages_size() == 0) return;
    const proto::Budget& budget = job_.budget();
    const auto refuse = [&](const char* field, const char* kind) {
      Refuse(field, absl::StrCat("the ", kind, " stages give other steps; set ",
                                 "either this or their steps"));
    };
    if (budget.has_transfer_steps()) {
      refuse("budget.transfer_steps", "transfer");
    }
    if (budget.has_finetune_steps()) {
      refuse("budget.finetune_steps", "finetune");
    }
    if (job_.has_curriculum()) {
      Refuse("curriculum", "there is no finetune stage without its own");
    }
    if (job_.has_schedule()) {
      Refuse("schedule", "there is no stage without its own");
    }
  }

  void NeedSinks(const std::string& field) {
    if (job_.attention().sinks() < 1) {
      Refuse(field, "sinks_only needs attention.sinks of at least 1");
    }
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
    if (attention.compat() == proto::Attention::LOLCATS_REFERENCE) {
      CheckLolcatsReference();
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

  // What LoLCATs' code does not have, or does as it is done here anyway.
  void CheckLolcatsReference() {
    const proto::Attention& attention = job_.attention();
    const std::string field = "attention.compat";
    if (attention.window_kind() != "terraced") {
      Refuse(field, absl::StrCat("LOLCATS_REFERENCE goes with window_kind "
                                 "terraced; with a ",
                                 attention.window_kind(),
                                 " window that code does what is done here "
                                 "without it"));
    }
    if (attention.sinks() > 0) {
      Refuse(field, absl::StrCat("LOLCATS_REFERENCE has no sinks, but "
                                 "attention.sinks is ",
                                 attention.sinks()));
    }
    if (attention.reset_at_document()) {
      Refuse(field,
             "LOLCATS_REFERENCE runs across documents, but "
             "attention.reset_at_document is true");
    }
  }

  // The rows of a batch that a rank of a stage's layout has.
  void CheckBatch() {
    if (Reported("budget.batch") || Reported("budget.micro_batch") ||
        Reported("parallel.data") || Reported("parallel.tensor") ||
        Reported("parallel.layer")) {
      return;
    }
    const MeshShape transfer = TransferLayout(job_);
    if (job_.parallel().layer() < 2 || AnyStage([](const proto::Stage& stage) {
          return stage.has_transfer();
        })) {
      CheckShare("parallel.data", transfer.data);
    }
    // Of a layout that no stage runs on nothing is asked.
    if (!job_.parallel().has_finetune() ||
        !AnyStage(
            [](const proto::Stage& stage) { return stage.has_finetune(); })) {
      return;
    }
    const MeshShape finetune = FinetuneLayout(job_);
    if (Reported("parallel.finetune.data") ||
        Reported("parallel.finetune.tensor")) {
      return;
    }
    if (finetune.ranks() != transfer.ranks()) {
      Refuse("parallel.finetune",
             absl::StrCat("is ", FormatMesh(finetune), ", ", finetune.ranks(),
                          finetune.ranks() == 1 ? " rank" : " ranks",
                          ", but transfer has ", transfer.ranks(), " (",
                          FormatMesh(transfer), ")"));
      return;
    }
    if (finetune.data != transfer.data) {
      CheckShare("parallel.finetune.data", finetune.data);
    }
  }

  void CheckShare(const std::string& field, int data) {
    const int batch = job_.budget().batch();
    const int micro = job_.budget().micro_batch();
    const std::string which =
        field == "parallel.data"
            ? ""
            : absl::StrCat(
                  " (fine-tuning's layout: by default the ranks of a "
                  "layer chain are data ranks there; parallel "
                  "{ finetune { data tensor } } says otherwise)");
    if (batch % data != 0) {
      Refuse("budget.batch", absl::StrCat("is ", batch, ", which ", field, " ",
                                          data, " does not divide", which));
    } else if (batch / data % micro != 0) {
      Refuse("budget.micro_batch",
             absl::StrCat("is ", micro, ", which does not divide the ",
                          batch / data, " rows a rank has of each batch with ",
                          field, " ", data, which));
    }
  }

  // Gamma is chosen by the loss of a whole model, which a chain's ranks do not
  // have.
  void CheckLayers() {
    if (job_.parallel().layer() < 2 || job_.stages_size() == 0) return;
    const proto::Stage& last = job_.stages(job_.stages_size() - 1);
    if (job_.evaluation().gamma_override_size() > 0 &&
        (last.has_transfer() || last.finetune().steps() == 0)) {
      Refuse("parallel.layer",
             "above 1 goes with evaluation.gamma_override only where the last "
             "stage is a finetune stage with steps");
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

  // What the finished model runs in; the job has stages.
  proto::ComponentMode FinishedMode() const {
    const proto::Evaluation& e = job_.evaluation();
    return e.has_eval_mode()
               ? e.eval_mode()
               : StudentModeOf(job_.stages(job_.stages_size() - 1));
  }

  // Some stage that takes steps, with what `counts` says of it.
  template <typename Fn>
  bool AnyStage(Fn counts) const {
    return std::any_of(job_.stages().begin(), job_.stages().end(),
                       [&](const proto::Stage& stage) {
                         return TakesSteps(stage) && counts(stage);
                       });
  }
  static bool TrainsFeatureMaps(const proto::Stage& stage) {
    return stage.transfer().train_feature_maps() ||
           stage.finetune().train_feature_maps();
  }

  void CheckEvalMode() {
    const proto::ComponentMode mode = job_.evaluation().eval_mode();
    if (mode == proto::SINKS_ONLY) NeedSinks("evaluation.eval_mode");
    if (HasLinearPart(mode) && !AnyStage([](const proto::Stage& stage) {
          return TrainsFeatureMaps(stage) ||
                 HasLinearPart(StudentModeOf(stage));
        })) {
      Refuse("evaluation.eval_mode",
             absl::StrCat("is ", proto::ComponentMode_Name(mode),
                          ", but no stage trains feature maps, or anything "
                          "else with a linear part"));
    }
  }

  void CheckGamma() {
    const std::string field = "evaluation.gamma_override";
    const auto& gammas = job_.evaluation().gamma_override();
    if (gammas.empty()) return;
    if (FinishedMode() != proto::HYBRID) {
      Refuse(field,
             absl::StrCat("weighs the two parts of hybrid attention, but the "
                          "finished model runs in ",
                          proto::ComponentMode_Name(FinishedMode()),
                          "; set evaluation.eval_mode to HYBRID"));
    }
    if (!AnyStage(TrainsFeatureMaps)) {
      Refuse(field,
             "no stage trains feature maps: there is no linear part to weigh");
    }
    const std::set<double> values(gammas.begin(), gammas.end());
    if (values.size() > 1 && job_.data().validation().empty()) {
      Refuse(field, absl::StrCat("has ", values.size(),
                                 " values to choose from, which needs "
                                 "data.validation; give that or one value"));
    }
  }

  void CheckEvaluation() {
    if (job_.stages_size() > 0) {
      CheckEvalMode();
      CheckGamma();
    }
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
  if (files->IsFolder(path)) {
    problems->push_back(
        {field, absl::StrCat(path, " is a folder, expected a file"), ""});
    return;
  }
  const absl::Status found = files->FileSize(path).status();
  if (found.ok()) return;
  // Why it can't be had, where it is there.
  problems->push_back({field,
                       absl::IsNotFound(found)
                           ? absl::StrCat(path, " does not exist")
                           : std::string(found.message()),
                       ""});
}

}  // namespace

void ValidateJob(const proto::Job& expanded, std::vector<Problem>* problems) {
  CheckFieldRules(expanded, "", problems);
  Validator(expanded, problems).CheckAll();
  CheckSlurm(expanded, problems);
}

void CheckJobFiles(const proto::Job& expanded, FileSystem* files,
                   std::vector<Problem>* problems) {
  for (const auto& [field, path] :
       {std::pair("model.path", &expanded.model().path()),
        std::pair("data.path", &expanded.data().path()),
        std::pair("data.validation", &expanded.data().validation())}) {
    // They end up in logs and on terminals, of other users, too.
    if (std::any_of(path->begin(), path->end(), absl::ascii_iscntrl)) {
      problems->push_back({field,
                           absl::StrCat("'", absl::CHexEscape(*path),
                                        "' has a control character"),
                           ""});
      return;
    }
  }
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
