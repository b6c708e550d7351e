#include "jobs/coordinator/rpc/jobs_service.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/base/version.h"
#include "jobs/coordinator/rpc/stream_mark.h"
#include "jobs/coordinator/rpc/unary.h"
#include "jobs/coordinator/rpc/watch_stream.h"
#include "jobs/coordinator/rpc/wire.h"
#include "jobs/coordinator/state/job_spec.h"

namespace caracal {
namespace {

Coordinator::Reply FinishWith(grpc::ServerUnaryReactor* reactor,
                              const Visit& visit, JobId id) {
  return [=](const absl::Status& status) {
    visit.End(status, id);
    reactor->Finish(ToGrpc(status));
  };
}

absl::Status NoSuchJob(JobId id) {
  return absl::NotFoundError(absl::StrCat("there is no job ", id));
}

}  // namespace

absl::StatusOr<Visit> JobsService::EnterToChange(
    grpc::CallbackServerContext* context, const char* method, JobId id) {
  absl::StatusOr<Visit> visit = door_->Enter(context, method);
  if (!visit.ok()) return visit;
  const std::optional<std::string> owner = coordinator_->OwnerOf(id);
  // That there is none the coordinator says.
  if (!owner.has_value()) return visit;
  const absl::Status status = CheckOwner(visit->caller(), *owner);
  if (status.ok()) return visit;
  visit->End(status, id);
  return status;
}

std::string JobsService::RunFolder(JobId id) const {
  return options_.run_folder.empty() ? JoinPath(options_.runs, absl::StrCat(id))
                                     : options_.run_folder;
}

grpc::ServerUnaryReactor* JobsService::Submit(
    grpc::CallbackServerContext* context, const proto::SubmitRequest* request,
    proto::SubmitResponse* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Jobs.Submit");
  if (!visit.ok()) return Answer(context, visit.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  submitter_.Submit(*request, visit->caller().name,
                    [reactor, response, visit = *visit](
                        const absl::StatusOr<JobId>& id,
                        const std::vector<Problem>& problems) {
                      if (id.ok()) response->set_id(*id);
                      visit.End(id.status(), id.value_or(0));
                      reactor->Finish(ToGrpc(id.status(), problems));
                    });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Validate(
    grpc::CallbackServerContext* context, const proto::SubmitRequest* request,
    proto::ValidateResponse* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Jobs.Validate");
  if (!visit.ok()) return Answer(context, visit.status());
  std::vector<Problem> problems;
  const absl::Status status =
      submitter_.Validate(*request, visit->caller().name, &problems);
  for (const Problem& problem : problems) {
    proto::JobProblem& told = *response->add_problems();
    told.set_field(AsValidUtf8(problem.field));
    told.set_message(AsValidUtf8(problem.message));
    told.set_where(AsValidUtf8(problem.where));
  }
  return Answer(context, status);
}

grpc::ServerUnaryReactor* JobsService::Get(grpc::CallbackServerContext* context,
                                           const proto::GetJobRequest* request,
                                           proto::JobInfo* response) {
  if (const auto visit = door_->Enter(context, "Jobs.Get"); !visit.ok()) {
    return Answer(context, visit.status());
  }
  const std::optional<JobRecord> job = coordinator_->Get(request->id());
  if (!job.has_value()) {
    return Answer(context, NoSuchJob(request->id()));
  }
  *response = ToProto(*job);
  response->set_run_folder(RunFolder(job->id));
  response->set_job(SpecText(job->request.spec.str()));
  for (const std::string& host : job->hosts) response->add_hosts(host);
  response->set_resumable(
      options_.run_folder.empty() &&
      MayGo(job->state, JobState::kQueued, JobCause::kResumed));
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* JobsService::List(
    grpc::CallbackServerContext* context, const proto::ListJobsRequest* request,
    proto::ListJobsResponse* response) {
  if (const auto visit = door_->Enter(context, "Jobs.List"); !visit.ok()) {
    return Answer(context, visit.status());
  }
  JobFilter filter;
  filter.owner = request->owner();
  if (request->state() != proto::JOB_STATE_UNSPECIFIED) {
    filter.state = FromProto(request->state());
    if (!filter.state.has_value()) {
      return Answer(context, absl::InvalidArgumentError(absl::StrCat(
                                 "state: there is no ", request->state())));
    }
  }
  const absl::StatusOr<PageAsked> asked =
      ReadPage(request->page_size(), request->page_token());
  if (!asked.ok()) return Answer(context, asked.status());
  const JobPage page = coordinator_->List(filter, asked->from, asked->limit);
  for (const JobRecord& job : page.jobs) {
    *response->add_jobs() = ToProto(job);
  }
  if (page.next != 0) {
    response->set_next_page_token(absl::StrCat(page.next));
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* JobsService::Cancel(
    grpc::CallbackServerContext* context,
    const proto::CancelJobRequest* request, proto::CancelJobResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterToChange(context, "Jobs.Cancel", request->id());
  if (!visit.ok()) return Answer(context, visit.status());
  if (const absl::Status status = CheckKey(request->idempotency_key());
      !status.ok()) {
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Cancel(request->id(), visit->caller().name,
                       FinishWith(reactor, *visit, request->id()),
                       request->idempotency_key());
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Resume(
    grpc::CallbackServerContext* context,
    const proto::ResumeJobRequest* request, proto::ResumeJobResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterToChange(context, "Jobs.Resume", request->id());
  if (!visit.ok()) return Answer(context, visit.status());
  if (!options_.run_folder.empty()) {
    const absl::Status status = absl::FailedPreconditionError(kResumeByCommand);
    visit->End(status, request->id());
    return Answer(context, status);
  }
  if (const absl::Status status = CheckKey(request->idempotency_key());
      !status.ok()) {
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Resume(request->id(), request->idempotency_key(),
                       FinishWith(reactor, *visit, request->id()));
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Remove(
    grpc::CallbackServerContext* context,
    const proto::RemoveJobRequest* request,
    proto::RemoveJobResponse* response) {
  const absl::StatusOr<Visit> visit =
      EnterToChange(context, "Jobs.Remove", request->id());
  if (!visit.ok()) return Answer(context, visit.status());
  // Before it goes.
  const std::optional<JobRecord> job = coordinator_->Get(request->id());
  response->set_gone(!job.has_value());
  if (job.has_value()) {
    if (options_.gang_files) {
      const GangFiles files = options_.gang_files(*job);
      response->set_gangs(files.folders);
      response->set_bytes(files.bytes);
    }
    const std::string run = RunFolder(job->id);
    if (FileSystem::Posix()->Exists(run)) response->set_run_folder(run);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Remove(request->id(),
                       FinishWith(reactor, *visit, request->id()));
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::SetPriority(
    grpc::CallbackServerContext* context,
    const proto::SetPriorityRequest* request, proto::SetPriorityResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterToChange(context, "Jobs.SetPriority", request->id());
  if (!visit.ok()) return Answer(context, visit.status());
  if (const absl::Status status = CheckKey(request->idempotency_key());
      !status.ok()) {
    return Answer(context, status);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->SetPriority(request->id(), request->priority(),
                            FinishWith(reactor, *visit, request->id()),
                            request->idempotency_key());
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Tune(
    grpc::CallbackServerContext* context, const proto::TuneRequest* request,
    proto::TuneResponse*) {
  const absl::StatusOr<Visit> visit =
      EnterToChange(context, "Jobs.Tune", request->id());
  if (!visit.ok()) return Answer(context, visit.status());
  if (const absl::Status status = CheckKey(request->idempotency_key());
      !status.ok()) {
    return Answer(context, status);
  }
  Tuning tuning;
  if (request->has_drop_probability()) {
    tuning.drop_probability = request->drop_probability();
  }
  if (request->has_window()) tuning.window = request->window();
  tuning.by = visit->caller().name;
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Tune(request->id(), tuning, request->idempotency_key(),
                     FinishWith(reactor, *visit, request->id()));
  return reactor;
}

grpc::ServerWriteReactor<proto::JobEvent>* JobsService::Watch(
    grpc::CallbackServerContext* context, const proto::WatchRequest* request) {
  const auto visit = door_->Enter(context, "Jobs.Watch");
  if (!visit.ok()) {
    return RefuseStream<proto::JobEvent>(ToGrpc(visit.status()));
  }
  if (request->job() != 0 && !coordinator_->Get(request->job()).has_value()) {
    return RefuseStream<proto::JobEvent>(ToGrpc(NoSuchJob(request->job())));
  }
  auto place = watches_.Enter(visit->caller().name);
  if (!place.ok()) {
    return RefuseStream<proto::JobEvent>(ToGrpc(place.status()));
  }
  context->AddInitialMetadata(kStreamMark, "1");
  return NewWatchStream(hub_, request->job(), request->after(),
                        *std::move(place));
}

grpc::ServerWriteReactor<proto::LogsResponse>* JobsService::Logs(
    grpc::CallbackServerContext* context, const proto::LogsRequest* request) {
  const auto visit = door_->Enter(context, "Jobs.Logs");
  if (!visit.ok()) {
    return RefuseStream<proto::LogsResponse>(ToGrpc(visit.status()));
  }
  if (!coordinator_->Get(request->job()).has_value()) {
    return RefuseStream<proto::LogsResponse>(ToGrpc(NoSuchJob(request->job())));
  }
  auto place = logs_.Enter(visit->caller().name);
  if (!place.ok()) {
    return RefuseStream<proto::LogsResponse>(ToGrpc(place.status()));
  }
  context->AddInitialMetadata(kStreamMark, "1");
  return NewLogStream(*request, coordinator_, log_file_, *std::move(place));
}

grpc::ServerUnaryReactor* JobsService::Info(
    grpc::CallbackServerContext* context, const proto::ServerInfoRequest*,
    proto::ServerInfo* response) {
  const absl::StatusOr<Visit> visit = door_->Enter(context, "Jobs.Info");
  if (!visit.ok()) return Answer(context, visit.status());
  response->set_version(kVersion);
  {
    absl::MutexLock lock(&mutex_);
    response->set_web(web_);
  }
  return Answer(context, absl::OkStatus());
}

void JobsService::SetWeb(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  web_ = address;
}

}  // namespace caracal
