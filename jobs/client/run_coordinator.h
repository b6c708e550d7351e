// The coordinator of `caracal run`, as far as the run needs to know of it.
#ifndef CARACAL_JOBS_CLIENT_RUN_COORDINATOR_H_
#define CARACAL_JOBS_CLIENT_RUN_COORDINATOR_H_

#include <fstream>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "jobs/client/console.h"
#include "jobs/client/conversion_progress.h"
#include "jobs/convert/conversion.h"
#include "jobs/coordinator/embedded/embedded_coordinator.h"
#include "jobs/curriculum/source.h"
#include "jobs/launch/local_gang.h"
#include "jobs/worker/coordinator_link.h"
#include "jobs/worker/directed_curriculum.h"

namespace caracal {

// Training does not need it: where there can be none (a disk that is full, a
// folder that another process uses), the run goes on as if nobody watched.
// Not thread-safe.
class RunCoordinator {
 public:
  // Starts it in the run folder of `options`, unless the conversion would
  // refuse that. Says on the console where its page is, or why there is none to
  // watch.
  RunCoordinator(const ConversionOptions& options, bool page, Console* console);
  ~RunCoordinator();

  // For ranks of their own: how they find it.
  void Guide(GangCommand* command);
  // For a conversion in this process, which ends before End(): whom it asks,
  // and whom it tells beside those that it tells already.
  void Guide(ConversionOptions* options);

  // How the run has ended. Once.
  void End(const absl::Status& status);

 private:
  void OpenLog();

  std::unique_ptr<EmbeddedCoordinator> coordinator_;  // null: none
  // What the gang prints: the output that `caracal logs` shows.
  std::ofstream log_;
  Console log_console_{log_, log_};
  std::optional<ConversionProgress> log_progress_;
  std::unique_ptr<CoordinatorLink> link_;
  std::optional<OwnCurriculum> own_;
  std::optional<DirectedCurriculum> directed_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_RUN_COORDINATOR_H_
