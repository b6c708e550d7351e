#include "jobs/spec/field_table.h"

namespace caracal {
namespace {

constexpr NumberRange AtLeast(double min) { return {min, kNoLimit}; }
constexpr NumberRange Above(double min) { return {min, kNoLimit, true}; }
constexpr NumberRange Within(double min, double max) { return {min, max}; }
// (min, max]
constexpr NumberRange AboveUpTo(double min, double max) {
  return {min, max, true, false};
}
// [min, max)
constexpr NumberRange FromBelow(double min, double max) {
  return {min, max, false, true};
}
// (min, max)
constexpr NumberRange Between(double min, double max) {
  return {min, max, true, true};
}

constexpr NumberRange kAny = {};
constexpr double kMaxSteps = 1e8;
constexpr double kMaxTokens = 1 << 20;  // of a row or a window

constexpr char kStudentModes[] =
    "hybrid swa_only la_only la_past sinks_only softmax";

// Defaults and ranges of LoLCATs' published recipe (arXiv 2410.10254) where it
// has one: 8 rows a step, AdamW, clip 1, reduce-on-plateau.
constexpr FieldRule kRules[] = {
    {"Job.name", nullptr, kAny, nullptr, /*folder_name=*/true},
    {"Job.preset", nullptr, kAny,
     "lolcats hedgehog inference_hybrid hedgecats ssd swa_control"},
    {"Job.expanded_from"},
    {"Job.stages"},
    {"Job.model", "{}"},
    {"Job.data", "{}"},
    {"Job.attention", "{}"},
    {"Job.budget", "{}"},
    {"Job.parallel", "{}"},
    {"Job.lora", "{}"},
    {"Job.curriculum"},
    {"Job.optimizer", "{}"},
    {"Job.schedule"},
    {"Job.validation", "{}"},
    {"Job.checkpoint", "{}"},
    {"Job.evaluation", "{}"},
    {"Job.seed", "0"},
    {"Job.device", "auto", kAny, "cpu cuda auto"},
    {"Job.threads", "0", Within(0, 1024)},
    {"Job.slurm"},

    {"Model.path"},

    {"Data.path"},
    {"Data.validation"},
    {"Data.seq_len", nullptr, Within(2, kMaxTokens)},
    {"Data.shuffle", "false"},
    {"Data.restart_each_stage", "false"},

    {"Attention.window", "64", Within(1, kMaxTokens)},
    {"Attention.sinks", "0", Within(0, 65536)},
    {"Attention.feature_map", "hedgehog", kAny,
     "hedgehog exp t2r elu1 identity hedgehog_fla"},
    {"Attention.features", nullptr, Within(32, 256)},
    {"Attention.window_kind", "sliding", kAny, "sliding terraced"},
    {"Attention.affine", "false"},
    {"Attention.reset_at_document", "false"},
    {"Attention.feature_init", "identity", kAny, "identity kaiming"},
    {"Attention.tied_feature_maps", "false"},
    {"Attention.feature_bias"},
    {"Attention.half_space", "false"},
    {"Attention.gamma_init", "0.1", Between(0, 1)},
    {"Attention.softmax_layers", nullptr, Within(0, 65535)},
    {"Attention.compat", "compat_none"},

    {"Budget.transfer_steps", nullptr, Within(0, kMaxSteps)},
    {"Budget.finetune_steps", nullptr, Within(0, kMaxSteps)},
    {"Budget.batch", "8", Within(1, 65536)},
    {"Budget.micro_batch", nullptr, Within(1, 65536)},

    {"Parallel.data", "1", Within(1, 65536)},
    {"Parallel.tensor", "1", Within(1, 1024)},
    {"Parallel.layer", "1", Within(1, 1024)},
    {"Parallel.finetune"},
    {"FinetuneParallel.data", nullptr, Within(1, 65536)},
    {"FinetuneParallel.tensor", nullptr, Within(1, 1024)},

    {"Lora.rank", "8", Within(1, 256)},
    {"Lora.alpha", "16", Above(0)},
    {"Lora.projections", "q k v o", kAny, "q k v o gate up down"},

    {"Stage.transfer"},
    {"Stage.finetune"},

    {"TransferStage.steps", nullptr, Within(0, kMaxSteps)},
    {"TransferStage.lr", "0.01", AboveUpTo(0, 10)},
    {"TransferStage.student_mode", "hybrid", kAny, "hybrid la_only la_past"},
    {"TransferStage.loss", "{}"},
    {"TransferStage.train_feature_maps", "true"},
    {"TransferStage.train_window_factors"},
    {"TransferStage.schedule", "{}"},
    {"TransferStage.early_stop"},

    {"TransferLoss.mse", "0", AtLeast(0)},
    {"TransferLoss.xent", "0", AtLeast(0)},
    {"TransferLoss.kl", "0", AtLeast(0)},

    {"FinetuneStage.steps", nullptr, Within(0, kMaxSteps)},
    {"FinetuneStage.lr", "0.0001", AboveUpTo(0, 10)},
    {"FinetuneStage.student_mode", "hybrid", kAny, kStudentModes},
    {"FinetuneStage.loss", "{}"},
    {"FinetuneStage.train_feature_maps", "false"},
    {"FinetuneStage.train_window_factors", "false"},
    {"FinetuneStage.train_lora", "true"},
    {"FinetuneStage.schedule", "{}"},
    {"FinetuneStage.curriculum"},
    {"FinetuneStage.early_stop"},

    {"FinetuneLoss.lm", "0", AtLeast(0)},
    {"FinetuneLoss.logit_kl", "0", AtLeast(0)},
    {"FinetuneLoss.logit_kl_direction", "forward"},

    {"Optimizer.beta1", "0.9", FromBelow(0, 1)},
    {"Optimizer.beta2", "0.999", FromBelow(0, 1)},
    {"Optimizer.eps", "1e-8", AboveUpTo(0, 1)},
    {"Optimizer.weight_decay", "0", Within(0, 1)},
    {"Optimizer.grad_clip", "1", AtLeast(0)},
    {"Optimizer.group_weight_decay"},

    {"GroupWeightDecay.feature_maps", nullptr, Within(0, 1)},
    {"GroupWeightDecay.feature_biases", nullptr, Within(0, 1)},
    {"GroupWeightDecay.window_factors", nullptr, Within(0, 1)},
    {"GroupWeightDecay.lora", nullptr, Within(0, 1)},

    {"LearningRateSchedule.warmup_steps", "0", Within(0, kMaxSteps)},
    {"LearningRateSchedule.constant"},
    {"LearningRateSchedule.plateau"},
    {"LearningRateSchedule.linear"},
    {"LearningRateSchedule.cosine"},
    {"LearningRateSchedule.Plateau.factor", "0.1", Between(0, 1)},
    {"LearningRateSchedule.Plateau.patience", "10", Within(0, 1e6)},
    {"LearningRateSchedule.Plateau.floor", "1e-5", AtLeast(0)},
    {"LearningRateSchedule.Plateau.threshold", "1e-4", FromBelow(0, 1)},
    {"LearningRateSchedule.Decay.to", "0", AtLeast(0)},

    {"Curriculum.drop"},
    {"Curriculum.drop_mode", "la_only", kAny, "la_only la_past"},
    {"Curriculum.drop_keeps_sinks", "false"},
    {"Curriculum.granularity", "sample_layer"},
    {"Curriculum.window"},
    {"Curriculum.closed_loop"},
    {"Curriculum.when_away", "hold"},

    {"ValueSchedule.step"},
    {"ValueSchedule.constant"},
    {"ValueSchedule.linear"},
    {"ValueSchedule.cosine"},
    {"ValueSchedule.Ramp.from"},
    {"ValueSchedule.Ramp.to"},

    {"ClosedLoop.gain", "0.25", AboveUpTo(0, 10)},
    {"ClosedLoop.target", "0.9", Within(0, 10)},
    {"ClosedLoop.p_min", "0", Within(0, 1)},
    {"ClosedLoop.p_max", "0.95", Within(0, 1)},
    {"ClosedLoop.every", "20", Within(1, kMaxSteps)},
    {"ClosedLoop.smoothing", "0.5", FromBelow(0, 1)},

    {"EarlyStop.rule", "validation_loss"},
    {"EarlyStop.patience", "3", Within(1, 1e6)},
    {"EarlyStop.lambda", "0.5", AtLeast(0)},

    {"Validation.every_steps", "8", Within(0, kMaxSteps)},
    {"Validation.rows", "16", Within(1, 1e8)},

    {"Checkpoint.every_steps", "0", AtLeast(0)},
    {"Checkpoint.every_seconds", "300", AtLeast(0)},
    {"Checkpoint.keep_last", "2", Within(1, 1e6)},
    {"Checkpoint.keep_best", "true"},

    {"Evaluation.rows", "16", Within(0, 1e8)},
    {"Evaluation.modes"},
    {"Evaluation.eval_mode", nullptr, kAny, kStudentModes},
    {"Evaluation.gamma_override", nullptr, Between(0, 1)},
    {"Evaluation.bootstrap_samples", "1000", Within(100, 1e6)},
    {"Evaluation.baseline_sinks", "0 4", Within(0, 65536)},
    {"Evaluation.prompt"},
    {"Evaluation.max_new_tokens", "32", Within(1, 65536)},
    {"Evaluation.probe"},

    {"Probe.kinds", "passkey recall", kAny, "passkey recall"},
    {"Probe.lengths", "256 512 1024", Within(64, 1 << 20)},
    {"Probe.samples", "16", Within(2, 4096)},

    // Their formats: slurm_fields.h.
    {"Slurm.partition"},
    {"Slurm.account"},
    {"Slurm.qos"},
    {"Slurm.time"},
    {"Slurm.memory"},
    {"Slurm.gres"},
    {"Slurm.constraint"},
    {"Slurm.reservation"},
    {"Slurm.nodes", nullptr, Within(1, 65536)},
    {"Slurm.ranks_per_node", nullptr, Within(1, 1024)},
};

}  // namespace

absl::Span<const FieldRule> FieldTable() { return kRules; }

}  // namespace caracal
