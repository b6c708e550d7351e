#include "jobs/coordinator/service/gang_orders.h"

#include <algorithm>
#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/convert/run_folder.h"
#include "jobs/coordinator/service/left_metrics.h"
#include "jobs/coordinator/state/job_spec.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/slots.h"
#include "jobs/spec/slurm_fields.h"

namespace caracal {

namespace {

constexpr size_t kLinesAtATime = 512;

}  // namespace

absl::StatusOr<GangSpec> MakeGangSpec(const JobRecord& job,
                                      const DataFolder& folder,
                                      const GangRules& rules) {
  FileSystem* const files = FileSystem::Posix();
  const std::string file = folder.job(job.id);
  ASSIGN_OR_RETURN(const proto::Job spec, ReadSpec(job.request.spec.str()));
  // Links may lead elsewhere than when it was submitted.
  if (const absl::Status status = rules.roots.Check(spec); !status.ok()) {
    return absl::InvalidArgumentError(status.message());
  }
  GangSpec gang;
  if (rules.slurm.has_slurm) {
    std::vector<Problem> problems;
    CheckSlurmRules(spec, rules.slurm, &problems);
    RETURN_IF_ERROR(ProblemsToStatus(problems, "job"));
    gang.cluster_options = SbatchOptionsOf(spec.slurm());
  }
  RETURN_IF_ERROR(WriteJobText(spec, file, files));

  gang.id = {job.id, job.epoch};
  gang.working_directory = folder.shared();
  gang.ranks = static_cast<int>(TransferLayout(spec).ranks());
  gang.threads = ThreadsOf(spec, rules.slots);
  const std::string run = folder.run(job.id);
  const auto arguments = [&](int threads) {
    return std::vector<std::string>{
        "--job",
        file,
        "--out",
        run,
        "--coordinator",
        rules.endpoint.empty() ? folder.endpoint() : rules.endpoint,
        "--set",
        absl::StrCat("threads=", threads)};
  };
  gang.arguments = arguments(gang.threads);
  if (HoldsRun(files, {run})) gang.arguments.push_back("--resume");
  if (gang.ranks > 1 && spec.evaluation().rows() > 0) {
    // The report is made by one process, with the whole model: on one node,
    // with the threads of the ranks that were there.
    const int ranks = rules.slurm.has_slurm
                          ? RanksOfANode(spec.slurm(), gang.ranks)
                          : gang.ranks;
    gang.afterwards = arguments(gang.threads * ranks);
    gang.afterwards.push_back("--report");
  }
  return gang;
}

void GangOrders::Start(Coordinator* coordinator, Launcher* launcher) {
  coordinator_ = coordinator;
  launcher_ = launcher;
  thread_ = std::thread([this] { Run(); });
}

void GangOrders::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void GangOrders::Order(const GangOrder& order, const JobRecord& job) {
  absl::MutexLock lock(&mutex_);
  waiting_.emplace_back(order, job);
}

void GangOrders::Run() {
  while (true) {
    std::vector<std::pair<GangOrder, JobRecord>> orders;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](GangOrders* self) ABSL_NO_THREAD_SAFETY_ANALYSIS {
            return self->stop_ || !self->waiting_.empty();
          },
          this));
      if (stop_) return;
      orders.swap(waiting_);
    }
    for (const auto& [order, job] : orders) Obey(order, job);
  }
}

void GangOrders::Obey(const GangOrder& order, const JobRecord& job) {
  const GangId id = {order.job, order.epoch};
  switch (order.kind) {
    case GangOrderKind::kStart:
      return StartGang(id, job);
    case GangOrderKind::kStop:
      return launcher_->Stop(id);
    case GangOrderKind::kKill:
      return launcher_->Kill(id);
    case GangOrderKind::kFind:
      return launcher_->Find(id);
  }
}

void GangOrders::StartGang(const GangId& id, const JobRecord& job) {
  const absl::StatusOr<GangSpec> spec = MakeGangSpec(job, *folder_, rules_);
  if (!spec.ok()) {
    // A disk that is full may have room later; a job that can't be read won't.
    const GangEnd end = absl::IsInvalidArgument(spec.status())
                            ? GangEnd::kFailed
                            : GangEnd::kLost;
    return GangEnded(id, end, std::string(spec.status().message()));
  }
  // One that was ordered before is there, or was.
  if (absl::IsAlreadyExists(launcher_->Start(*spec))) launcher_->Find(id);
}

void GangOrders::StoreChanged(const absl::Status& health) {
  Note(health.ok()
           ? "changes are stored again"
           : absl::StrCat("changes can't be stored now: ", health.message()));
  hub_->StoreChanged(health);
}

void GangOrders::GangFound(GangId id) {
  coordinator_->GangFound(id.job, id.epoch);
}

void GangOrders::GangWaits(GangId id, const std::string& reason) {
  coordinator_->GangWaits(id.job, id.epoch, reason);
}

void GangOrders::ClusterSilent(const std::string& reason) {
  Note(reason.empty() ? "the cluster answers again"
                      : absl::StrCat("the cluster does not answer: ", reason));
  coordinator_->SetClusterSilent(!reason.empty());
}

void GangOrders::Note(const std::string& words) {
  std::clog << "caracald: " << words << std::endl;
}

void GangOrders::GangEnded(GangId id, GangEnd end, const std::string& reason) {
  TellLeftMetrics(id);
  coordinator_->GangEnded(id.job, id.epoch, end, reason);
}

void GangOrders::TellLeftMetrics(const GangId& id) {
  const std::optional<JobRecord> job = coordinator_->Get(id.job);
  if (!job.has_value() || job->epoch != id.epoch || !HoldsSlots(job->state)) {
    return;
  }
  // One that took no step wrote nothing.
  const absl::StatusOr<int64_t> first =
      GangFolder(JoinPath(folder_->gangs(), ToString(id))).ReadFirstStep();
  if (!first.ok()) return;
  // A line a step: the gang's n-th is of step first + n - 1. Numbers say which
  // are known, whatever has come in meanwhile, and should this coordinator not
  // live to hear of the end.
  const RunFolder run{folder_->run(id.job)};
  for (int64_t told = job->lines;;) {
    const absl::StatusOr<std::vector<std::string>> left = MetricsAfter(
        FileSystem::Posix(), run.metrics(), *first + told - 1, kLinesAtATime);
    if (!left.ok()) {
      return Note(std::string(left.status().message()));
    }
    if (left->empty()) return;
    coordinator_->ReportLeft(id.job, id.epoch,
                             {.progress = ProgressOf(left->back()),
                              .first = told + 1,
                              .lines = *left});
    told += static_cast<int64_t>(left->size());
  }
}

}  // namespace caracal
