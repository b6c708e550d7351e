// The report that a conversion ends with: what is measured and written.
#ifndef CARACAL_JOBS_CONVERT_RUN_REPORT_H_
#define CARACAL_JOBS_CONVERT_RUN_REPORT_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/tokenizer.h"
#include "core/model/llama.h"
#include "eval/probe/measure_probes.h"
#include "eval/report/report_input.h"
#include "jobs/convert/conversion.h"

namespace caracal {

// All borrowed.
struct RunReportInputs {
  const proto::Job* job = nullptr;
  const ConversionOptions* options = nullptr;  // folder, stop flag, events
  FileSystem* files = nullptr;
  const Llama* model = nullptr;  // whole, trained
  Execution exec;
  PackedDataset* data = nullptr;         // rows that are scored
  const Tokenizer* tokenizer = nullptr;  // null: the model has none
  std::vector<int32_t> prompt;           // may be empty
};

// Measures the model as the job asks for it, fills `report`, and writes it to
// the run's folder. kCancelled when stopped.
absl::Status MakeRunReport(const RunReportInputs& inputs, ReportInput* report);

// Of evaluation.probe.
ProbeOptions ProbeOptionsOf(const proto::Job& job,
                            const std::atomic<bool>* stop);

// Adds the time since `start` to the report's of this name.
void AddTiming(const std::string& what, absl::Duration start,
               ReportInput* report);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_RUN_REPORT_H_
