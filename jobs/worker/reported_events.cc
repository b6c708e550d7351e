#include "jobs/worker/reported_events.h"

#include <cstdint>
#include <string>

#include "jobs/train/metrics_writer.h"
#include "jobs/train/student_config.h"

namespace caracal {

ConversionEvents Reported(ConversionEvents events, const proto::Job& job,
                          CoordinatorLink* link) {
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

}  // namespace caracal
