#include "jobs/client/job_words.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "eval/report/numbers.h"
#include "jobs/spec/slurm_fields.h"

namespace caracal {
namespace {

std::string Plural(int64_t count, absl::string_view noun) {
  return absl::StrCat(Count(count), " ", noun, count == 1 ? "" : "s");
}

std::string ScheduleOverSteps(const proto::ValueSchedule& schedule) {
  if (schedule.has_constant()) return absl::StrCat(schedule.constant());
  if (schedule.has_linear()) {
    return absl::StrCat(schedule.linear().from(), " to ",
                        schedule.linear().to(), " in a line");
  }
  if (schedule.has_cosine()) {
    return absl::StrCat(schedule.cosine().from(), " to ",
                        schedule.cosine().to(), " along a cosine");
  }
  return absl::StrJoin(schedule.step(), ", then ");
}

// ", la_only with probability 0.9, then 0.5 per head"; "p" where a closed loop
// says what it is.
std::string DropWords(const proto::Curriculum& curriculum) {
  std::string unit =
      proto::Curriculum::Granularity_Name(curriculum.granularity());
  absl::AsciiStrToLower(&unit);
  return absl::StrCat(
      ", ", ModeName(curriculum.drop_mode()),
      curriculum.drop_keeps_sinks() ? " with sinks" : "", " with probability ",
      curriculum.has_closed_loop() ? "p" : ScheduleOverSteps(curriculum.drop()),
      " per ", unit);
}

// Of a closed loop: the schedule's first value, within the bounds.
double StartOf(const proto::Curriculum& curriculum) {
  const proto::ValueSchedule& drop = curriculum.drop();
  const double first = drop.has_linear()   ? drop.linear().from()
                       : drop.has_cosine() ? drop.cosine().from()
                       : drop.step_size()  ? drop.step(0)
                                           : drop.constant();
  const proto::ClosedLoop& loop = curriculum.closed_loop();
  return std::clamp(first, loop.p_min(), loop.p_max());
}

std::string CurriculumWords(const proto::Curriculum& curriculum) {
  std::string words;
  if (curriculum.has_drop() || curriculum.has_closed_loop()) {
    words = DropWords(curriculum);
  }
  if (curriculum.has_window()) {
    absl::StrAppend(&words, ", window ",
                    ScheduleOverSteps(curriculum.window()));
  }
  if (curriculum.has_closed_loop()) {
    const proto::ClosedLoop& loop = curriculum.closed_loop();
    absl::StrAppend(&words, ", p steered to r = ", loop.target(), " every ",
                    Plural(loop.every(), "step"), " (gain ", loop.gain(),
                    ", p ", StartOf(curriculum), " at first, ", loop.p_min(),
                    " to ", loop.p_max(), ", smoothing ", loop.smoothing(),
                    ")");
  }
  return words;
}

const proto::LearningRateSchedule& ScheduleOf(const proto::Stage& stage) {
  return stage.has_transfer() ? stage.transfer().schedule()
                              : stage.finetune().schedule();
}

std::string WeightDecayWords(const proto::Optimizer& o) {
  const proto::GroupWeightDecay& g = o.group_weight_decay();
  std::string words = absl::StrCat("weight decay ", o.weight_decay());
  std::vector<std::string> others;
  for (const auto& [name, value] : {std::pair("feature maps", g.feature_maps()),
                                    {"feature biases", g.feature_biases()},
                                    {"window factors", g.window_factors()},
                                    {"LoRA", g.lora()}}) {
    if (value == o.weight_decay()) continue;
    others.push_back(absl::StrCat(name, " ", value));
  }
  if (others.empty()) return words;
  return absl::StrCat(words, " (", absl::StrJoin(others, ", "), ")");
}

// "; probes passkey, recall at 256, 512 tokens, 16 prompts each"
std::string ProbeWords(const proto::Evaluation& e) {
  if (!e.has_probe()) return "";
  return absl::StrCat("; probes ", absl::StrJoin(e.probe().kinds(), ", "),
                      " at ", absl::StrJoin(e.probe().lengths(), ", "),
                      " tokens, ", Plural(e.probe().samples(), "prompt"),
                      " each");
}

}  // namespace

std::string ModeName(proto::ComponentMode mode) {
  return absl::AsciiStrToLower(proto::ComponentMode_Name(mode));
}

std::string StageName(const proto::Stage& stage) {
  return stage.has_transfer() ? "transfer" : "finetune";
}

std::string StageSummary(const proto::Stage& stage) {
  if (stage.has_transfer()) {
    const proto::TransferLoss& loss = stage.transfer().loss();
    const bool outputs = loss.mse() > 0;
    const bool weights = loss.xent() > 0 || loss.kl() > 0;
    return absl::StrCat(
        "Attention transfer: each layer by itself learns to give the "
        "teacher's attention ",
        outputs && weights ? "outputs and weights"
        : weights          ? "weights"
                           : "outputs",
        ". The model's weights stay frozen.");
  }
  if (stage.finetune().train_lora()) {
    return "Fine-tuning: the converted model learns to predict the next token "
           "again, through low-rank adapters. The model's weights stay frozen.";
  }
  return "Fine-tuning: the converted model learns to predict the next token "
         "again. The model's weights stay frozen.";
}

std::string StudentWords(const proto::Stage& stage) {
  if (stage.has_transfer()) return ModeName(stage.transfer().student_mode());
  const proto::FinetuneStage& finetune = stage.finetune();
  return absl::StrCat(
      ModeName(finetune.student_mode()),
      finetune.has_curriculum() ? CurriculumWords(finetune.curriculum()) : "");
}

std::string LossWords(const proto::Stage& stage) {
  std::vector<std::string> terms;
  const auto add = [&](double weight, const char* name) {
    if (weight > 0) terms.push_back(absl::StrCat(weight, " ", name));
  };
  if (stage.has_transfer()) {
    add(stage.transfer().loss().mse(), "mse");
    add(stage.transfer().loss().xent(), "xent");
    add(stage.transfer().loss().kl(), "kl");
  } else {
    const proto::FinetuneLoss& loss = stage.finetune().loss();
    add(loss.lm(), "lm");
    add(loss.logit_kl(),
        loss.logit_kl_direction() == proto::FinetuneLoss::REVERSE
            ? "logit_kl (reverse)"
            : "logit_kl");
  }
  // A single weight of one says nothing.
  if (terms.size() == 1 && terms[0].rfind("1 ", 0) == 0) terms[0].erase(0, 2);
  return absl::StrJoin(terms, " + ");
}

std::string TrainedWords(const proto::Job& job, const proto::Stage& stage) {
  std::vector<std::string> parts;
  const bool transfer = stage.has_transfer();
  if (!transfer && stage.finetune().train_lora()) {
    parts.push_back(absl::StrCat("LoRA of rank ", job.lora().rank(), ", alpha ",
                                 job.lora().alpha(), " on ",
                                 absl::StrJoin(job.lora().projections(), " ")));
  }
  if (transfer ? stage.transfer().train_feature_maps()
               : stage.finetune().train_feature_maps()) {
    parts.push_back("feature maps");
  }
  if (transfer ? stage.transfer().train_window_factors()
               : stage.finetune().train_window_factors()) {
    parts.push_back("window factors");
  }
  return absl::StrJoin(parts, ", ");
}

std::string LearningRateWords(const proto::Stage& stage) {
  const double lr =
      stage.has_transfer() ? stage.transfer().lr() : stage.finetune().lr();
  const proto::LearningRateSchedule& schedule = ScheduleOf(stage);
  std::string words = absl::StrCat(lr);
  if (schedule.warmup_steps() > 0) {
    absl::StrAppend(&words, " after ",
                    Plural(schedule.warmup_steps(), "warm-up step"));
  }
  if (schedule.has_plateau()) {
    const auto& plateau = schedule.plateau();
    absl::StrAppend(&words, ", times ", plateau.factor(), " after ",
                    Plural(plateau.patience(), "validation"),
                    " without gain, at least ", plateau.floor());
  } else if (schedule.has_linear()) {
    absl::StrAppend(&words, ", in a line to ", schedule.linear().to());
  } else if (schedule.has_cosine()) {
    absl::StrAppend(&words, ", along a cosine to ", schedule.cosine().to());
  }
  return words;
}

std::string EarlyStopWords(const proto::Stage& stage) {
  const bool has = stage.has_transfer() ? stage.transfer().has_early_stop()
                                        : stage.finetune().has_early_stop();
  if (!has) return "";
  const proto::EarlyStop& rule = stage.has_transfer()
                                     ? stage.transfer().early_stop()
                                     : stage.finetune().early_stop();
  const bool aware = rule.rule() == proto::EarlyStop::COMPONENT_AWARE;
  return absl::StrCat(
      "after ", Plural(rule.patience(), "validation"), " without gain",
      aware ? absl::StrCat(" in loss and use of the linear part (lambda ",
                           rule.lambda(), ")")
            : "");
}

std::string AttentionWords(const proto::Job& job, int features) {
  const proto::Attention& attention = job.attention();
  std::string words = absl::StrCat(
      attention.window_kind(), " window of ",
      Plural(attention.window(), "token"), ", ",
      attention.sinks() == 0 ? "no sinks" : Plural(attention.sinks(), "sink"),
      ", ", attention.feature_map(), " feature maps with ", features,
      " columns");
  if (attention.half_space()) absl::StrAppend(&words, ", first half only");
  if (attention.feature_bias()) absl::StrAppend(&words, ", with biases");
  if (attention.tied_feature_maps()) {
    absl::StrAppend(&words, ", the same for queries and keys");
  }
  absl::StrAppend(&words, ", ", attention.feature_init(), " and gamma ",
                  attention.gamma_init(), " at first");
  if (attention.affine()) absl::StrAppend(&words, ", affine");
  if (attention.compat() == proto::Attention::LOLCATS_REFERENCE) {
    absl::StrAppend(&words, ", with the faults of LoLCATs' code");
  }
  if (attention.reset_at_document()) {
    absl::StrAppend(&words, ", reset at document borders");
  }
  if (attention.softmax_layers_size() > 0) {
    absl::StrAppend(
        &words, attention.softmax_layers_size() == 1 ? ", layer " : ", layers ",
        absl::StrJoin(attention.softmax_layers(), " "), " kept as softmax");
  }
  return words;
}

std::string FinishedWords(const proto::Job& job) {
  const proto::Evaluation& e = job.evaluation();
  if (!e.has_eval_mode() && e.gamma_override_size() == 0) return "";
  // Only hybrid attention has a gamma to override.
  std::string words =
      ModeName(e.has_eval_mode() ? e.eval_mode() : proto::HYBRID);
  if (e.gamma_override_size() == 1) {
    absl::StrAppend(&words, ", with gamma ", e.gamma_override(0),
                    " in every head");
  } else if (e.gamma_override_size() > 1) {
    absl::StrAppend(&words,
                    ", with the gamma of least validation loss in "
                    "every head, of ",
                    absl::StrJoin(e.gamma_override(), ", "));
  }
  return words;
}

std::string OptimizerWords(const proto::Job& job) {
  const proto::Optimizer& o = job.optimizer();
  return absl::StrCat(
      "AdamW, betas ", o.beta1(), " and ", o.beta2(), ", eps ", o.eps(), ", ",
      WeightDecayWords(o), ", ",
      o.grad_clip() > 0
          ? absl::StrCat("gradients clipped to norm ", o.grad_clip())
          : "no gradient clipping");
}

std::string ValidationWords(const proto::Job& job) {
  if (job.data().validation().empty()) return "none: no held-out data";
  const int every = job.validation().every_steps();
  return absl::StrCat("loss on ", Plural(job.validation().rows(), "row"), " ",
                      every > 0 ? absl::StrCat("every ", Plural(every, "step"),
                                               " and at the end of each stage")
                                : "at the end of each stage");
}

std::string CheckpointWords(const proto::Job& job) {
  const proto::Checkpoint& c = job.checkpoint();
  std::string words = "at the end of each stage";
  if (c.every_steps() > 0) {
    absl::StrAppend(&words, ", every ", Plural(c.every_steps(), "step"));
  }
  if (c.every_seconds() > 0) {
    absl::StrAppend(&words, ", every ", Duration(c.every_seconds()));
  }
  absl::StrAppend(
      &words, "; ",
      c.keep_last() == 1 ? "the newest"
                         : absl::StrCat("the newest ", c.keep_last()),
      c.keep_best() ? " and the best" : "",
      c.keep_last() == 1 && !c.keep_best() ? " is kept" : " are kept");
  return words;
}

std::string ReportWords(const proto::Job& job) {
  const proto::Evaluation& e = job.evaluation();
  if (e.rows() == 0) return "none";
  std::vector<std::string> modes;
  for (const int mode : e.modes()) {
    modes.push_back(ModeName(static_cast<proto::ComponentMode>(mode)));
  }
  return absl::StrCat(
      Plural(e.rows(), "row"), " in ", absl::StrJoin(modes, ", "),
      "; teacher_swa with ", absl::StrJoin(e.baseline_sinks(), " and "),
      " sinks beside them; intervals from ",
      Plural(e.bootstrap_samples(), "bootstrap sample"), ProbeWords(e));
}

std::string DeviceWords(const proto::Job& job) {
  return absl::StrCat(
      job.device(), ", ",
      job.threads() == 0 ? "a thread a core" : Plural(job.threads(), "thread"));
}

std::string SlurmWords(const proto::Job& job) {
  const std::vector<std::string> options = SbatchOptionsOf(job.slurm());
  if (options.empty()) return "";
  return absl::StrCat("as gangs of a coordinator: sbatch ",
                      absl::StrJoin(options, " "));
}

}  // namespace caracal
