// Everything a report shows: what was measured, how training went, and what
// the run was. Plain values; either report is a pure function of them.
#ifndef CARACAL_EVAL_REPORT_REPORT_INPUT_H_
#define CARACAL_EVAL_REPORT_REPORT_INPUT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "eval/attribution/result.h"
#include "eval/report/metrics.h"

namespace caracal {

// Empty texts and zeros are left out of the reports.
struct RunInfo {
  std::string model_path;
  std::string job_path;
  std::string job_text;  // the expanded job, as written to the run folder
  std::string date;      // any one form, for people

  // Greedy continuations of one prompt.
  std::string prompt;
  std::string teacher_continuation;
  std::string student_continuation;

  struct File {
    std::string what;  // "checkpoint", "metrics", ...
    std::string path;
  };
  std::vector<File> files;

  struct Timing {
    std::string what;  // "attention transfer", ...
    double seconds = 0;
  };
  std::vector<Timing> timings;
  uint64_t peak_bytes = 0;  // resident memory
};

// One try of inference-time hybridisation.
struct GammaLoss {
  double gamma = 0;  // in (0, 1)
  double loss = 0;   // on validation rows, nats per token
};

struct ReportInput {
  AttributionResult attribution;
  std::vector<StepMetrics> metrics;
  RunInfo run;
  // Empty and NaN where gamma was not swept.
  std::vector<GammaLoss> gamma_sweep;
  double chosen_gamma = std::numeric_limits<double>::quiet_NaN();
  // So many of the attribution's rows, the first, are those that gamma was
  // chosen on.
  int64_t gamma_rows_scored = 0;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_REPORT_INPUT_H_
