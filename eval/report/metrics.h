// The training metrics of a run, as its metrics.jsonl holds them: one JSON
// object a line and step.
#ifndef CARACAL_EVAL_REPORT_METRICS_H_
#define CARACAL_EVAL_REPORT_METRICS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"

namespace caracal {

// NaN: the line does not have it. Every key of a line that is a field here has
// the field's name.
struct StepMetrics {
  std::string stage;  // "transfer", "finetune"
  int64_t step = 0;
  double loss = 0;  // NaN when the file has null
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double tokens_per_s = kNone;
  double validation_loss = kNone;
  // What a curriculum set: p(t), the share of (sample, layer, head) that was
  // dropped, W(t) in tokens.
  double drop_probability = kNone, dropped_share = kNone, window = kNone;
  // What the closed loop saw, nats a token, and what it made of it.
  double u = kNone, u_star = kNone, r = kNone, next_drop_probability = kNone;
  // Held-out losses that early stopping looked at.
  double hybrid_loss = kNone, swa_only_loss = kNone, la_only_loss = kNone;
  double early_stop_score = kNone;
};

// Lines need `stage`, `step` and `loss`; keys not listed above are passed
// over, and so are empty lines. A resumed run repeats the steps since its
// checkpoint: the last line of a (stage, step) counts, in the place of the
// first. A last line that is not whole (the run was killed, or is writing) is
// left out; any other bad line is kInvalidArgument, with `source` and line.
absl::StatusOr<std::vector<StepMetrics>> ParseMetrics(absl::string_view text,
                                                      absl::string_view source);

absl::StatusOr<std::vector<StepMetrics>> ReadMetrics(FileSystem& files,
                                                     const std::string& path);

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_METRICS_H_
