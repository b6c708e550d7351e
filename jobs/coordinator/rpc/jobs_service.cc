#include "jobs/coordinator/rpc/jobs_service.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/submission.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

constexpr int64_t kPage = 100, kLongestPage = 1000;

// Whoever calls, until there are tokens.
constexpr char kOwner[] = "local";

Coordinator::Reply FinishWith(grpc::ServerUnaryReactor* reactor) {
  return [reactor](const absl::Status& status) {
    reactor->Finish(ToGrpc(status));
  };
}

// What needs no waiting for.
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* JobsService::Submit(
    grpc::CallbackServerContext* context, const proto::SubmitRequest* request,
    proto::SubmitResponse* response) {
  // Memory is ahead of a disk that fails; nothing more is taken in.
  if (const absl::Status health = coordinator_->Health(); !health.ok()) {
    return Answer(context, ToGrpc(absl::UnavailableError(health.message())));
  }
  JobRequest job;
  if (const grpc::Status status = ReadSubmission(*request, files_, &job);
      !status.ok()) {
    return Answer(context, status);
  }
  job.owner = kOwner;
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Submit(job,
                       [reactor, response](const absl::StatusOr<JobId>& id) {
                         if (id.ok()) response->set_id(*id);
                         reactor->Finish(ToGrpc(id.status()));
                       });
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Get(grpc::CallbackServerContext* context,
                                           const proto::GetJobRequest* request,
                                           proto::JobInfo* response) {
  const std::optional<JobRecord> job = coordinator_->Get(request->id());
  if (!job.has_value()) {
    return Answer(context, ToGrpc(absl::NotFoundError(absl::StrCat(
                               "there is no job ", request->id()))));
  }
  *response = ToProto(*job);
  response->set_run_folder(JoinPath(runs_, absl::StrCat(job->id)));
  response->set_job(job->request.spec);
  return Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* JobsService::List(
    grpc::CallbackServerContext* context, const proto::ListJobsRequest* request,
    proto::ListJobsResponse* response) {
  const auto refuse = [&](const std::string& why) {
    return Answer(context, ToGrpc(absl::InvalidArgumentError(why)));
  };
  JobFilter filter;
  filter.owner = request->owner();
  if (request->state() != proto::JOB_STATE_UNSPECIFIED) {
    filter.state = FromProto(request->state());
    if (!filter.state.has_value()) {
      return refuse(absl::StrCat("state: there is no ", request->state()));
    }
  }
  if (request->page_size() < 0) return refuse("page_size: is negative");
  JobId from = 0;
  if (!request->page_token().empty() &&
      (!absl::SimpleAtoi(request->page_token(), &from) || from == 0)) {
    return refuse("page_token: is not that of a page");
  }
  const int64_t limit =
      request->page_size() == 0
          ? kPage
          : std::min<int64_t>(request->page_size(), kLongestPage);
  const JobPage page = coordinator_->List(filter, from, limit);
  for (const JobRecord& job : page.jobs) {
    *response->add_jobs() = ToProto(job);
  }
  if (page.next != 0) {
    response->set_next_page_token(absl::StrCat(page.next));
  }
  return Answer(context, grpc::Status::OK);
}

grpc::ServerUnaryReactor* JobsService::Cancel(
    grpc::CallbackServerContext* context,
    const proto::CancelJobRequest* request, proto::CancelJobResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Cancel(request->id(), kOwner, FinishWith(reactor));
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Resume(
    grpc::CallbackServerContext* context,
    const proto::ResumeJobRequest* request, proto::ResumeJobResponse*) {
  if (const absl::Status status = CheckKey(request->idempotency_key());
      !status.ok()) {
    return Answer(context, ToGrpc(status));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Resume(request->id(), request->idempotency_key(),
                       FinishWith(reactor));
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::Remove(
    grpc::CallbackServerContext* context,
    const proto::RemoveJobRequest* request, proto::RemoveJobResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->Remove(request->id(), FinishWith(reactor));
  return reactor;
}

grpc::ServerUnaryReactor* JobsService::SetPriority(
    grpc::CallbackServerContext* context,
    const proto::SetPriorityRequest* request, proto::SetPriorityResponse*) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  coordinator_->SetPriority(request->id(), request->priority(),
                            FinishWith(reactor));
  return reactor;
}

}  // namespace caracal
