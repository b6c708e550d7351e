// Sample inputs for tests of the reports: a conversion of a model of 30 layers
// of 9 heads with figures of a likely size, made up from a fixed seed.
#ifndef CARACAL_EVAL_REPORT_TESTING_SAMPLE_REPORT_H_
#define CARACAL_EVAL_REPORT_TESTING_SAMPLE_REPORT_H_

#include <map>
#include <string>

#include "eval/report/report_input.h"

namespace caracal {

struct SampleLosses {
  double teacher = 3.865, hybrid = 3.924, swa_only = 3.951;
  double teacher_swa_s0 = 5.070, teacher_swa_s4 = 3.983;
  double la_only = 6.203, la_past = 7.410, none = 10.512;
  // Standard deviation over rows of each difference to the teacher.
  double noise = 0.012;
  int rows = 32;
};

// Modes, baselines, masses and intervals; W = 64, S = 0.
AttributionResult SampleAttribution(const SampleLosses& losses = {});

// The whole input, with metrics of two stages and texts.
ReportInput SampleReport(const SampleLosses& losses = {});

// The same with a curriculum, a closed loop, an early stop, a sweep of gamma
// and text probes: every picture there is.
ReportInput SampleSteeredReport();

// Its text probes alone, as without --data.
ReportInput SampleProbeReport();

}  // namespace caracal

#endif  // CARACAL_EVAL_REPORT_TESTING_SAMPLE_REPORT_H_
