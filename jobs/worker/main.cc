// `caracal-worker`: one rank of a gang that trains a job. Started by mpirun or
// srun, as many as the job's `parallel` asks for; `caracal run` does it too.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/base/steady_condition.h"
#include "core/collective/agree.h"
#include "core/collective/gather_text.h"
#include "dist/handshake/handshake.h"
#include "dist/liveness/liveness.h"
#include "dist/mpi/mpi_beats.h"
#include "dist/mpi/mpi_mesh.h"
#include "dist/mpi/mpi_runtime.h"
#include "jobs/client/console.h"
#include "jobs/client/conversion_progress.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/job_option.h"
#include "jobs/convert/conversion.h"
#include "jobs/curriculum/source.h"
#include "jobs/launch/gang_folder.h"
#include "jobs/launch/gang_processes.h"
#include "jobs/launch/local_gang.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/spec/layout.h"
#include "jobs/worker/bench_ranks.h"
#include "jobs/worker/coordinator_link.h"
#include "jobs/worker/directed_curriculum.h"
#include "jobs/worker/reported_events.h"

namespace caracal {
namespace {

struct WorkerOptions {
  JobOption job;
  std::string out;
  std::string coordinator;  // its endpoint file; "": none
  bool tied = false;        // the gang ends with its coordinator
  bool resume = false, report = false;
  double heartbeat_timeout = 6;  // seconds
  double stall_timeout = 3600;   // likewise
  double start_timeout = 120;    // likewise
};

// One write: lines of several ranks are not mixed. Why a rank ends: the last
// such line is the reason of its gang's end (jobs/launch/gang_supervisor.h).
void Print(const std::string& line) {
  std::cerr << absl::StrCat("caracal-worker: ", line, "\n") << std::flush;
}
// What it goes on after.
void Note(const std::string& line) {
  std::cerr << absl::StrCat("caracal-worker, by the way: ", line, "\n")
            << std::flush;
}

absl::StatusOr<proto::Job> LoadJob(const JobOption& job, Liveness& liveness) {
  absl::StatusOr<proto::Job> loaded = job.Load();
  RETURN_IF_ERROR(liveness.Agree(loaded.status()));
  return loaded;
}

// The ranks run one job, in one folder, or not at all.
absl::Status CompareOptions(const ConversionOptions& options,
                            MpiRuntime& runtime) {
  std::vector<Fact> facts = {
      {"run folder", std::filesystem::absolute(options.run_folder)
                         .lexically_normal()
                         .string()},
      {"--resume", options.resume ? "given" : "not given"}};
  for (const auto& [field, value] : FieldsOfGang(options.job)) {
    facts.push_back({absl::StrCat("job's ", field), value});
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Collective> world,
                   runtime.World("comparison of jobs"));
  return CompareFacts(*world, runtime.host(), facts);
}

// Of all ranks, in their order.
absl::StatusOr<std::vector<std::string>> HostsOf(MpiRuntime& runtime) {
  ASSIGN_OR_RETURN(std::unique_ptr<Collective> world,
                   runtime.World("hosts of the ranks"));
  return GatherText(*world, runtime.host());
}

// The leading rank's line to the coordinator that started the gang; null for
// the others, and where there is none.
absl::StatusOr<std::unique_ptr<CoordinatorLink>> OpenLink(
    const WorkerOptions& o, MpiRuntime& runtime) {
  if (o.coordinator.empty()) return nullptr;
  ASSIGN_OR_RETURN(std::vector<std::string> hosts, HostsOf(runtime));
  if (runtime.rank() != 0) return nullptr;
  const char* const folder = std::getenv(kGangVariable);
  if (folder == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--coordinator is for gangs of a coordinator: ", kGangVariable,
        " is not set"));
  }
  const GangFolder gang(folder);
  ASSIGN_OR_RETURN(const GangSpec spec, gang.ReadSpec());
  CoordinatorLinkOptions options;
  options.gang = spec.id;
  ASSIGN_OR_RETURN(options.credential, gang.ReadCredential());
  // Where it is reported is of less interest than where it was trained.
  if (!o.report) options.hosts = std::move(hosts);
  options.endpoint_file = o.coordinator;
  options.written = WrittenMetrics(gang, o.out);
  options.stop = RequestStop;
  options.fenced = [&runtime, tied = o.tied](const std::string& why) {
    if (!tied) {
      Print(absl::StrCat("the coordinator has given this gang up: ", why));
    }
    runtime.Abort(kWorkerTransient);
  };
  // Where it is `caracal run`, that is there as long as the ranks are.
  options.tell = [tied = o.tied](const std::string& line) {
    if (!tied) Note(line);
  };
  return std::make_unique<CoordinatorLink>(std::move(options));
}

int ExitStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kWorkerDone;
    case absl::StatusCode::kCancelled:
      return kWorkerStopped;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
      return kWorkerTransient;
    default:
      return kWorkerFailed;
  }
}

// Whose error it is, tells it; of a lost peer, whoever sees how it was lost.
bool IsAnothersToTell(const absl::Status& status, int rank) {
  return RankOfError(status).value_or(rank) != rank ||
         absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Ends all ranks with one line about an error of this one.
void Fail(const absl::Status& status, MpiRuntime& runtime, Liveness& liveness) {
  // Errors of a step begin with it.
  const bool has_step = absl::StartsWith(status.message(), "stage ");
  liveness.Fail(
      ExitStatusOf(status),
      absl::StrCat("rank ", runtime.rank(), " on ", runtime.host(),
                   has_step ? "" : absl::StrCat(" ", liveness.Where()), ": ",
                   status.message()),
      IsAnothersToTell(status, runtime.rank()));
}

absl::Status Train(const WorkerOptions& o, MpiRuntime& runtime,
                   const std::atomic<bool>* stop, Liveness& liveness) {
  absl::StatusOr<std::unique_ptr<CoordinatorLink>> link = OpenLink(o, runtime);
  RETURN_IF_ERROR(liveness.Agree(link.status()));
  ConversionOptions options;
  ASSIGN_OR_RETURN(options.job, LoadJob(o.job, liveness));
  options.run_folder =
      !o.out.empty() ? o.out : JoinPath("runs", options.job.name());
  options.resume = o.resume || o.report;
  options.stop = stop;
  options.by_command = o.coordinator.empty() || o.tied;
  Console console =
      SystemConsole([](const char* name) { return std::getenv(name); });
  ConversionProgress progress(options.job, &console);
  if (runtime.rank() == 0) options.events = progress.events();
  OwnCurriculum own(&options.job);
  std::optional<DirectedCurriculum> curriculum;
  if (*link != nullptr) {
    curriculum.emplace(
        DirectedCurriculum::Options{.job = &options.job,
                                    .link = link->get(),
                                    .stop = stop,
                                    .tell = Note,
                                    .otherwise = o.tied ? &own : nullptr});
    options.curriculum = &*curriculum;
    options.events =
        Reported(std::move(options.events), options.job,
                 GangFolder(std::getenv(kGangVariable)), link->get());
  }
  if (o.report) {
    if (runtime.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--report is the work of one rank, not of ", runtime.size()));
    }
    const absl::Status status = RunConversion(options).status();
    progress.Finish();
    return status;
  }
  RETURN_IF_ERROR(CompareOptions(options, runtime));
  absl::StatusOr<MeshGroups> groups =
      MakeMpiMesh(runtime, TransferLayout(options.job),
                  {.timeout = absl::Seconds(o.stall_timeout)});
  RETURN_IF_ERROR(liveness.Agree(groups.status()));
  Gang gang(*std::move(groups), runtime.host());
  gang.set_lost(
      [&](const absl::Status& error) { Fail(error, runtime, liveness); });
  options.gang = &gang;
  options.events.step =
      [&liveness, shown = options.events.step](const StepRecord& record) {
        liveness.SetStep(record.stage, record.step);
        if (shown) shown(record);
      };
  const absl::Status status = RunConversion(options).status();
  if (gang.leads()) progress.Finish();
  return status;
}

absl::StatusOr<std::unique_ptr<Liveness>> StartLiveness(
    const WorkerOptions& o, MpiRuntime& runtime,
    const std::atomic<bool>* stop) {
  ASSIGN_OR_RETURN(std::unique_ptr<Collective> world,
                   runtime.World("meeting of all ranks"));
  ASSIGN_OR_RETURN(const std::vector<Fact> facts,
                   ProgramFacts(FileSystem::Posix()));
  RETURN_IF_ERROR(CompareFacts(*world, runtime.host(), facts));
  ASSIGN_OR_RETURN(std::unique_ptr<MpiBeats> beats, MpiBeats::Make(runtime));
  return Liveness::Start(
      std::move(world), runtime.host(), std::move(beats),
      {.limit = absl::Seconds(o.heartbeat_timeout),
       .lost_status = kWorkerTransient,
       .stop = stop,
       .tell = Print,
       .abort = [&runtime](int exit_status) { runtime.Abort(exit_status); },
       .quit = [](int exit_status) { std::_Exit(exit_status); }});
}

// Until the ranks have met nobody sees who is missing: this ends the process
// if that takes too long, and so the gang.
class StartWatch {
 public:
  explicit StartWatch(absl::Duration limit)
      : thread_([this, limit] {
          if (met_.WaitFor(limit)) return;
          Print(absl::StrCat("the ranks did not meet within ",
                             absl::FormatDuration(limit),
                             ": one of them stands still, or did not start"));
          std::_Exit(kWorkerTransient);
        }) {}
  ~StartWatch() {
    Met();
    thread_.join();
  }
  void Met() { met_.Notify(); }

 private:
  SteadyNotification met_;
  std::thread thread_;
};

int RunRank(const WorkerOptions& options, MpiRuntime& runtime,
            const std::atomic<bool>* stop, StartWatch& watch) {
  const std::string me =
      absl::StrCat("rank ", runtime.rank(), " on ", runtime.host());
  absl::StatusOr<std::unique_ptr<Liveness>> started =
      StartLiveness(options, runtime, stop);
  if (!started.ok()) {
    if (IsAnothersToTell(started.status(), runtime.rank())) {
      absl::SleepFor(absl::Seconds(options.heartbeat_timeout));
    }
    Print(absl::StrCat(me, ": ", started.status().message()));
    runtime.Abort(ExitStatusOf(started.status()));
  }
  Liveness& liveness = **started;
  watch.Met();
  absl::Status status = Train(options, runtime, stop, liveness);
  if (status.ok() || absl::IsCancelled(status)) {
    // All ranks know it, and leave together.
    const absl::Status left = liveness.Leave();
    if (left.ok() && !status.ok() && runtime.rank() == 0) {
      Print(std::string(status.message()));
    }
    if (left.ok()) return ExitStatusOf(status);
    status = left;
  }
  Fail(status, runtime, liveness);
  return kWorkerFailed;  // Not reached: Fail aborts.
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  // First: whoever started the ranks may ask them to stop at any time.
  const std::atomic<bool>* const stop = CatchInterrupts();
  WorkerOptions options;
  CLI::App app(
      "One rank of a gang that trains a job. mpirun or srun starts as "
      "many as the job's `parallel` asks for.",
      "caracal-worker");
  app.add_option("--job", options.job.path, "job file")->required();
  app.add_option("--set", options.job.overrides,
                 "overrides a field: budget.batch=8")
      ->take_all();
  app.add_option("--out", options.out,
                 "run folder (by default runs/NAME), seen by all ranks");
  app.add_flag("--resume", options.resume,
               "go on from the folder's newest checkpoint");
  app.add_flag("--report", options.report,
               "make the report of a finished training, as its one rank");
  app.add_option("--coordinator", options.coordinator,
                 "the endpoint file of the coordinator that started the gang");
  app.add_flag("--tied", options.tied,
               "the gang ends with its coordinator, which is `caracal run`");
  app.add_option("--heartbeat-timeout", options.heartbeat_timeout,
                 "seconds without a sign of life after which a rank counts as "
                 "lost")
      ->envname("CARACAL_HEARTBEAT_TIMEOUT")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--stall-timeout", options.stall_timeout,
                 "seconds that a rank waits for another one that is alive but "
                 "sends nothing; more than the longest step takes")
      ->envname("CARACAL_STALL_TIMEOUT")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app.add_option("--start-timeout", options.start_timeout,
                 "seconds that the ranks may take to meet")
      ->envname("CARACAL_START_TIMEOUT")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11's own statuses would be taken for those of a conversion.
    return app.exit(error) == 0 ? kWorkerDone : kWorkerFailed;
  }

  StartWatch watch(absl::Seconds(options.start_timeout));
  absl::StatusOr<std::unique_ptr<MpiRuntime>> runtime = MpiRuntime::Start();
  if (!runtime.ok()) {
    std::cerr << "caracal-worker: " << runtime.status().message() << "\n";
    return kWorkerFailed;
  }
  return RunRank(options, **runtime, stop, watch);
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "bench") {
    return caracal::BenchRank(argc - 1, argv + 1);
  }
  return caracal::Main(argc, argv);
}
