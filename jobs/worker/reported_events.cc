#include "jobs/worker/reported_events.h"

#include <cstdint>
#include <string>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/convert/run_folder.h"
#include "jobs/coordinator/service/left_metrics.h"
#include "jobs/train/metrics_writer.h"
#include "jobs/train/student_config.h"

namespace caracal {

ConversionEvents Reported(ConversionEvents events, const proto::Job& job,
                          const GangFolder& gang, CoordinatorLink* link) {
  events.training = [=, shown = events.training,
                     note = events.note](int64_t taken) {
    if (shown) shown(taken);
    const absl::Status written = gang.WriteFirstStep(taken + 1);
    if (!written.ok() && note) note(std::string(written.message()));
  };
  int64_t total = 0;
  for (const proto::Stage& stage : job.stages()) total += StepsOf(stage);
  events.step = [=, shown = events.step](const StepRecord& record) {
    if (shown) shown(record);
    link->AddMetrics(ToJson(record));
    link->SetProgress(record.stage, record.global_step, total);
  };
  events.measured = [=, shown = events.measured](const std::string& what,
                                                 int done, int passes) {
    if (shown) shown(what, done, passes);
    link->SetProgress("report", total, total);
  };
  return events;
}

std::function<absl::StatusOr<std::vector<std::string>>(int64_t first,
                                                       size_t most)>
WrittenMetrics(const GangFolder& gang, const std::string& run_folder) {
  return [=](int64_t first,
             size_t most) -> absl::StatusOr<std::vector<std::string>> {
    // A line a step.
    ASSIGN_OR_RETURN(const int64_t first_step, gang.ReadFirstStep());
    return MetricsAfter(FileSystem::Posix(), RunFolder{run_folder}.metrics(),
                        first_step + first - 2, most);
  };
}

}  // namespace caracal
