// What is known of one step of training.
#ifndef CARACAL_JOBS_TRAIN_STEP_RECORD_H_
#define CARACAL_JOBS_TRAIN_STEP_RECORD_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace caracal {

// NaN: was not computed, and is left out of the line.
inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

// Losses of a stage, not scaled by their weights.
struct LossParts {
  double mse = kNotMeasured, xent = kNotMeasured, kl = kNotMeasured;
  double lm = kNotMeasured, logit_kl = kNotMeasured;
};

// What a curriculum set for a step.
struct CurriculumValues {
  double drop_probability = kNotMeasured;  // p(t)
  double dropped_share = kNotMeasured;     // of (sample, layer, head)
  double window = kNotMeasured;            // W(t), tokens
  // Whoever decides was away: these are the last values it set.
  bool held = false;
};

// Held-out losses by mode that early stopping looked at after the step.
struct EarlyStopTrace {
  double hybrid_loss = kNotMeasured, swa_only_loss = kNotMeasured;
  double la_only_loss = kNotMeasured;
  double score = kNotMeasured;
};

// What the closed loop saw after the step; its p is the next step's.
struct ClosedLoopTrace {
  double use = kNotMeasured;        // u, nats a token
  double potential = kNotMeasured;  // u*, nats a token
  double ratio = kNotMeasured;      // r = u / u*, not smoothed
  double next_drop_probability = kNotMeasured;
};

// One optimiser step. Keys of metrics.jsonl are the fields' names.
struct StepRecord {
  std::string stage;        // "transfer", "finetune"
  int64_t stage_index = 0;  // of the job's list
  int64_t step = 0;         // in the stage, from 1
  int64_t global_step = 0;  // over all stages, from 1
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;
  int64_t tokens = 0;  // of this step
  double tokens_per_s = 0;
  LossParts parts;
  CurriculumValues curriculum;
  double validation_loss = kNotMeasured;  // held out, after the step
  EarlyStopTrace early_stop;
  ClosedLoopTrace closed_loop;
  // la_mass of each layer of the model, its heads' mean (docs/method.md,
  // section 5), measured with the validation; NaN where there is no linear
  // part. Empty: was not measured.
  std::vector<double> la_mass;
};

// Over the layers that have a linear part; kNotMeasured when none has, or it
// was not measured.
inline double MeanLaMass(const StepRecord& m) {
  double sum = 0, count = 0;
  for (const double mass : m.la_mass) {
    if (std::isnan(mass)) continue;
    sum += mass;
    ++count;
  }
  return count == 0 ? kNotMeasured : sum / count;
}

// put(name, value) for each value that not every step has, if this one does;
// names are those of metrics.jsonl.
template <typename Put>
void ForEachMeasured(const StepRecord& m, Put&& put) {
  const auto offer = [&](const char* name, double value) {
    if (!std::isnan(value)) put(name, value);
  };
  offer("mse", m.parts.mse);
  offer("xent", m.parts.xent);
  offer("kl", m.parts.kl);
  offer("lm", m.parts.lm);
  offer("logit_kl", m.parts.logit_kl);
  offer("drop_probability", m.curriculum.drop_probability);
  offer("dropped_share", m.curriculum.dropped_share);
  offer("window", m.curriculum.window);
  offer("validation_loss", m.validation_loss);
  offer("hybrid_loss", m.early_stop.hybrid_loss);
  offer("swa_only_loss", m.early_stop.swa_only_loss);
  offer("la_only_loss", m.early_stop.la_only_loss);
  offer("early_stop_score", m.early_stop.score);
  offer("u", m.closed_loop.use);
  offer("u_star", m.closed_loop.potential);
  offer("r", m.closed_loop.ratio);
  offer("next_drop_probability", m.closed_loop.next_drop_probability);
}

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_STEP_RECORD_H_
