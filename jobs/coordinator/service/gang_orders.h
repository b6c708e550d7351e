// Between the coordinator and a launcher: orders out, ends back.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_GANG_ORDERS_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_GANG_ORDERS_H_

#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "jobs/coordinator/access/path_roots.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/event_hub.h"
#include "jobs/coordinator/service/data_folder.h"
#include "jobs/launch/launcher.h"

namespace caracal {

// What gangs of all jobs are held to.
struct GangRules {
  int64_t slots = 1;  // of a job that names no threads
  PathRoots roots = {};
  SlurmRules slurm = {};
  // The file by which gangs find the coordinator; "": DataFolder::endpoint().
  std::string endpoint = "";
};

// What the ranks of a job's next gang run: the whole job, from its newest
// checkpoint if there is one, and then its report. Writes the job's file for
// them. kInvalidArgument for a job that can't be read, whose paths lead out of
// the roots by now, or that asks of Slurm what is forbidden by now; without
// Slurm that has no effect.
absl::StatusOr<GangSpec> MakeGangSpec(const JobRecord& job,
                                      const DataFolder& folder,
                                      const GangRules& rules);

// Carries out orders on a thread of its own, in order: launchers write to
// disks, and the coordinator's thread does not wait for that. Thread-safe.
class GangOrders : public CoordinatorOutput, public LauncherEvents {
 public:
  // All outlive it.
  GangOrders(const DataFolder* folder, EventHub* hub, GangRules rules)
      : folder_(folder), hub_(hub), rules_(std::move(rules)) {}
  // Orders that were not carried out are dropped: the next coordinator finds
  // them.
  ~GangOrders() override { Stop(); }

  // Both outlive Stop(). Before the first order.
  void Start(Coordinator* coordinator, Launcher* launcher);
  // After it no order goes out, and no end comes in.
  void Stop();

  // Of CoordinatorOutput.
  void Order(const GangOrder& order, const JobRecord& job) override;
  void Happened(const std::vector<StoredEvent>& events) override {
    hub_->Happened(events);
  }

  // Says so in the log, too.
  void StoreChanged(const absl::Status& health) override;

  void Removed(JobId) override {
    absl::MutexLock lock(&removed_mutex_);
    if (on_removed_) on_removed_();
  }

  // Called when a job is forgotten; null: nobody, from now on.
  void OnRemoved(std::function<void()> on_removed) {
    absl::MutexLock lock(&removed_mutex_);
    on_removed_ = std::move(on_removed);
  }

  // Of LauncherEvents.
  void GangFound(GangId id) override;
  void GangWaits(GangId id, const std::string& reason) override;
  void GangEnded(GangId id, GangEnd end, const std::string& reason) override;
  void ClusterSilent(const std::string& reason) override;
  void Note(const std::string& words) override;

 private:
  void Run();
  void Obey(const GangOrder& order, const JobRecord& job);
  void StartGang(const GangId& id, const JobRecord& job);
  // Of its metrics, what it could not tell.
  void TellLeftMetrics(const GangId& id);

  const DataFolder* const folder_;
  EventHub* const hub_;
  const GangRules rules_;
  absl::Mutex removed_mutex_;  // held while it runs
  std::function<void()> on_removed_ ABSL_GUARDED_BY(removed_mutex_);
  Coordinator* coordinator_ = nullptr;
  Launcher* launcher_ = nullptr;
  absl::Mutex mutex_;
  std::vector<std::pair<GangOrder, JobRecord>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_GANG_ORDERS_H_
