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

struct StepMetrics {
  std::string stage;  // "transfer", "finetune"
  int64_t step = 0;
  double loss = 0;  // NaN when the file has null
  // NaN on steps that did not measure them.
  double tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  double validation_loss = std::numeric_limits<double>::quiet_NaN();
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
