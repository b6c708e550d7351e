#include "jobs/client/service/evaluate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/client/service/part_counts.h"
#include "jobs/evaluator/patient_call.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {
namespace {

using Stub = proto::Evaluations::Stub;

constexpr absl::Duration kPoll = absl::Milliseconds(200);
// Without a worker for so long, people are told.
constexpr absl::Duration kNoWorker = absl::Seconds(10);
// A coordinator that went away is waited for as those do who watch.
constexpr absl::Duration kPatience = absl::Minutes(5);

class Evaluation {
 public:
  Evaluation(const ServerOption& server, const std::atomic<bool>* stop,
             Console& console)
      : server_(server), stop_(stop), console_(console) {}

  absl::StatusOr<std::vector<proto::EvaluationPart>> Run(
      const proto::EvaluationSpec& spec);

 private:
  // Until `stop_` is set or there is an error that does not pass in time.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request);
  absl::Status Wait();
  absl::Status Cancel();
  // "measured 5 of 40 parts", or that nobody does.
  void Tell(const proto::EvaluationInfo& info);

  const ServerOption& server_;
  const std::atomic<bool>* const stop_;
  Console& console_;
  uint64_t id_ = 0;
  int64_t told_ = -1;
  absl::Duration idle_since_ = Clock::Real()->Now();
  bool told_idle_ = false;
};

template <typename Request, typename Response>
absl::StatusOr<Response> Evaluation::Call(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request) {
  absl::StatusOr<Response> response;
  const absl::Status status =
      CallPatiently({.stop = stop_,
                     .away = kPatience,
                     .refused = kPatience,
                     .tell =
                         [this](const std::string& line) {
                           console_.err << "caracal: " << line << "\n";
                         }},
                    [&] {
                      response = server_.Call(method, request);
                      return response.status();
                    });
  if (!status.ok()) return status;
  return response;
}

void Evaluation::Tell(const proto::EvaluationInfo& info) {
  const absl::Duration now = Clock::Real()->Now();
  const bool moved = info.done() != told_;
  if (moved) {
    told_ = info.done();
    if (const auto counts = CountsOf(info)) {
      console_.err << "measured " << counts->measured << " of " << counts->all
                   << " parts\n";
    }
  }
  if (info.leased() > 0 || moved) {
    idle_since_ = now;
    told_idle_ = false;
  } else if (now - idle_since_ > kNoWorker && !told_idle_) {
    told_idle_ = true;
    console_.err << "caracal: no worker takes it: start some with "
                    "caracal-evald --server "
                 << server_.server << "\n";
  }
}

absl::Status Evaluation::Cancel() {
  proto::CancelEvaluationRequest request;
  request.set_id(id_);
  const auto cancelled = server_.Call(&Stub::Cancel, request);
  if (cancelled.ok()) return absl::CancelledError("stopped");
  return Annotate(cancelled.status(),
                  absl::StrCat("evaluation ", id_, " goes on: cancel"));
}

absl::Status Evaluation::Wait() {
  proto::GetEvaluationRequest request;
  request.set_id(id_);
  while (!*stop_) {
    const auto info = Call(&Stub::Get, request);
    if (absl::IsCancelled(info.status())) break;
    RETURN_IF_ERROR(info.status());
    Tell(*info);
    switch (info->state()) {
      case proto::EVALUATION_SUCCEEDED:
        return absl::OkStatus();
      case proto::EVALUATION_FAILED:
        return absl::AbortedError(
            absl::StrCat("evaluation ", id_, " failed: ", info->reason()));
      case proto::EVALUATION_CANCELLED:
        return absl::AbortedError(
            absl::StrCat("evaluation ", id_, " was ", info->reason()));
      default:
        absl::SleepFor(kPoll);
    }
  }
  return Cancel();
}

absl::StatusOr<std::vector<proto::EvaluationPart>> Evaluation::Run(
    const proto::EvaluationSpec& spec) {
  proto::CreateEvaluationRequest create;
  *create.mutable_spec() = spec;
  create.set_idempotency_key(NewIdempotencyKey());
  // One that is not there at all is an error at once.
  ASSIGN_OR_RETURN(const proto::CreateEvaluationResponse created,
                   server_.Call(&Stub::Create, create));
  id_ = created.id();
  console_.err << "evaluation " << id_ << "\n";
  RETURN_IF_ERROR(Wait());
  std::vector<proto::EvaluationPart> parts;
  proto::ReadPartsRequest read;
  read.set_id(id_);
  while (true) {
    read.set_from(static_cast<int64_t>(parts.size()));
    ASSIGN_OR_RETURN(proto::ReadPartsResponse page,
                     Call(&Stub::ReadParts, read));
    if (page.parts().empty()) {
      return absl::InternalError("the coordinator sends no parts");
    }
    for (proto::EvaluationPart& part : *page.mutable_parts()) {
      parts.push_back(std::move(part));
    }
    if (page.next() == 0) return parts;
  }
}

}  // namespace

absl::StatusOr<std::vector<proto::EvaluationPart>> Evaluate(
    const proto::EvaluationSpec& spec, const ServerOption& server,
    const std::atomic<bool>* stop, Console& console) {
  return Evaluation(server, stop, console).Run(spec);
}

}  // namespace caracal
