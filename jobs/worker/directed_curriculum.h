// Curricula as the coordinator directs them.
#ifndef CARACAL_JOBS_WORKER_DIRECTED_CURRICULUM_H_
#define CARACAL_JOBS_WORKER_DIRECTED_CURRICULUM_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/curriculum/source.h"
#include "jobs/worker/coordinator_link.h"
#include "proto/job.pb.h"

namespace caracal {

// Asks the coordinator. While it is away, and its directives are used up, the
// job's curriculum.when_away says what happens: the last values stay, or
// training waits. Before the first values it waits either way. The closed
// loop's place goes on from what was measured, as the coordinator would have
// it.
//
// With `otherwise` that one is asked instead, as long as nobody has tuned the
// job: then the coordinator could say nothing else.
class DirectedCurriculum : public CurriculumSource {
 public:
  struct Options {
    const proto::Job* job = nullptr;
    CoordinatorLink* link = nullptr;
    const std::atomic<bool>* stop = nullptr;  // null: never
    std::function<void(const std::string& line)> tell;
    absl::Duration try_again = absl::Milliseconds(200);
    // The job's own curriculum, for a gang that ends with its coordinator.
    CurriculumSource* otherwise = nullptr;
  };
  // All outlive it.
  explicit DirectedCurriculum(Options options) : o_(std::move(options)) {}

  absl::StatusOr<CurriculumAnswer> Direct(
      const CurriculumPoint& point) override;
  bool Changed() override { return o_.link->tunings() != tunings_; }

 private:
  absl::StatusOr<CurriculumAnswer> Ask(const CurriculumPoint& point);
  CurriculumAnswer Hold(const CurriculumPoint& point,
                        const Directive& directive) const;

  const Options o_;
  uint64_t tunings_ = 0;           // that the last directives are with
  std::optional<int> stage_;       // of the last directives
  CurriculumWindow window_;        // the last ones
  std::optional<Directive> last_;  // that was set, or held
  bool told_ = false;              // that the coordinator is away
};

}  // namespace caracal

#endif  // CARACAL_JOBS_WORKER_DIRECTED_CURRICULUM_H_
