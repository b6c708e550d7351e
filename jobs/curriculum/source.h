// Who a trainer asks for directives.
#ifndef CARACAL_JOBS_CURRICULUM_SOURCE_H_
#define CARACAL_JOBS_CURRICULUM_SOURCE_H_

#include <utility>

#include "absl/status/statusor.h"
#include "jobs/curriculum/director.h"
#include "proto/job.pb.h"

namespace caracal {

struct CurriculumAnswer {
  CurriculumWindow window;
  // Whoever decides was not there: what was set last stays, as the job has it.
  bool held = false;
};

// Asked by the leading rank alone, on its training thread.
class CurriculumSource {
 public:
  virtual ~CurriculumSource() = default;
  // As Direct() has it; at least one step of the stage, if there is one.
  // kCancelled: training was asked to stop while it waited.
  virtual absl::StatusOr<CurriculumAnswer> Direct(
      const CurriculumPoint& point) = 0;
  // Whether steps that were directed already are to be asked for again.
  virtual bool Changed() = 0;
};

// The job's own schedules and loop.
class OwnCurriculum : public CurriculumSource {
 public:
  // The job outlives it.
  explicit OwnCurriculum(const proto::Job* job) : job_(job) {}
  absl::StatusOr<CurriculumAnswer> Direct(
      const CurriculumPoint& point) override {
    absl::StatusOr<CurriculumWindow> window =
        caracal::Direct(*job_, point, {}, kMost);
    if (!window.ok()) return window.status();
    return CurriculumAnswer{*std::move(window)};
  }
  bool Changed() override { return false; }

 private:
  static constexpr int64_t kMost = 256;
  const proto::Job* const job_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CURRICULUM_SOURCE_H_
