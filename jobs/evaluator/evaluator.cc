#include "jobs/evaluator/evaluator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "jobs/evaluator/lease_keeper.h"

namespace caracal {
namespace {

constexpr absl::Duration kFirstBackOff = absl::Milliseconds(100);
constexpr absl::Duration kLongestBackOff = absl::Seconds(5);
// While there is nothing to do.
constexpr absl::Duration kFirstPoll = absl::Milliseconds(100);
constexpr absl::Duration kLongestPoll = absl::Seconds(1);
// An idle worker's model stays so long: a part of it may come back.
constexpr absl::Duration kKeepModel = absl::Seconds(10);
// After a part that failed: somebody else may have more luck with it.
constexpr absl::Duration kAfterFailure = absl::Seconds(1);
constexpr absl::Duration kLook = absl::Milliseconds(20);

// Of a call: that it may go through later.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsInternal(status) || absl::IsUnknown(status);
}

// Of a measurement: that it would fail everywhere.
bool IsForGood(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
}

template <typename Request>
Request RequestFor(const proto::LeaseResponse& lease) {
  Request request;
  request.set_evaluation(lease.evaluation());
  request.set_part(lease.part());
  request.set_lease(lease.lease());
  return request;
}

std::string Text(const proto::LeaseResponse& lease) {
  return absl::StrCat("evaluation ", lease.evaluation(), ": part ",
                      lease.part());
}

}  // namespace

Evaluator::Evaluator(EvaluatorOptions options, const std::atomic<bool>* stop)
    : options_(std::move(options)), stop_(stop), compute_(options_.threads) {}

void Evaluator::Sleep(absl::Duration d) const {
  Clock* const clock = Clock::Real();
  const absl::Duration end = clock->Now() + d;
  while (!*stop_ && clock->Now() < end) {
    absl::SleepFor(std::min(kLook, end - clock->Now()));
  }
}

template <typename Request, typename Response>
absl::StatusOr<Response> Evaluator::Call(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, absl::Duration until) {
  absl::Duration back_off = kFirstBackOff;
  bool told = false;
  while (true) {
    absl::StatusOr<Response> response = options_.server.Call(method, request);
    if (response.ok()) {
      if (told) options_.tell("the coordinator is back");
      return response;
    }
    if (!MayPass(response.status())) return response;
    if (!std::exchange(told, true)) {
      options_.tell(
          absl::StrCat(response.status().message(), "; trying again"));
    }
    if (Clock::Real()->Now() >= until) return response;
    Sleep(back_off);
    if (*stop_) return absl::CancelledError("stopped");
    back_off = std::min(2 * back_off, kLongestBackOff);
  }
}

absl::Status Evaluator::Run() {
  Clock* const clock = Clock::Real();
  absl::Duration busy = clock->Now(), poll = kFirstPoll;
  while (!*stop_) {
    proto::LeaseRequest request;
    request.set_worker(options_.name);
    request.set_version(kVersion);
    request.set_prefers(evaluation_);
    const absl::StatusOr<proto::LeaseResponse> lease =
        Call(&Stub::Lease, request, busy + options_.idle_exit);
    if (absl::IsCancelled(lease.status())) break;
    RETURN_IF_ERROR(lease.status());
    if (lease->evaluation() != 0) {
      RETURN_IF_ERROR(Work(*lease));
      busy = clock->Now();
      poll = kFirstPoll;
      continue;
    }
    if (clock->Now() - busy >= options_.idle_exit) {
      options_.tell("there is nothing to do");
      break;
    }
    if (clock->Now() - busy > kKeepModel) {
      evaluation_ = 0;
      session_ = nullptr;
    }
    Sleep(poll);
    poll = std::min(2 * poll, kLongestPoll);
  }
  return absl::OkStatus();
}

absl::StatusOr<proto::EvaluationPart> Evaluator::Measure(
    const proto::LeaseResponse& lease) {
  if (lease.has_spec()) {
    // Not two models at a time.
    evaluation_ = 0;
    session_ = nullptr;
    plan_ = lease.plan();
    options_.tell(absl::StrCat("evaluation ", lease.evaluation(), ": loads ",
                               lease.spec().model()));
    ASSIGN_OR_RETURN(session_,
                     AttributionSession::Open(lease.spec(), &compute_, &lost_));
  }
  if (session_ == nullptr) {
    return absl::InternalError("the coordinator sent no evaluation");
  }
  proto::EvaluationPart result;
  if (lease.part() == 0) {
    ASSIGN_OR_RETURN(plan_, session_->Plan());
    *result.mutable_plan() = plan_;
  } else {
    ASSIGN_OR_RETURN(result, session_->RunPart(plan_, lease.part()));
  }
  evaluation_ = lease.evaluation();
  return result;
}

absl::Status Evaluator::Fail(const proto::LeaseResponse& lease,
                             const absl::Status& why, bool for_good) {
  options_.tell(absl::StrCat(Text(lease), " failed: ", why.message()));
  auto request = RequestFor<proto::FailRequest>(lease);
  request.set_for_good(for_good);
  request.set_message(std::string(why.message()));
  const absl::Status failed =
      Call(&Stub::Fail, request, absl::InfiniteDuration()).status();
  Sleep(kAfterFailure);
  return failed;
}

absl::Status Evaluator::Work(const proto::LeaseResponse& lease) {
  const absl::Duration begun = Clock::Real()->Now();
  lost_ = false;
  const auto call = [this](auto method, const auto& request) {
    return options_.server.Call(method, request).status();
  };
  LeaseKeeper keeper(
      {.lease = absl::Milliseconds(lease.lease_ms()),
       .renew =
           [&] {
             return call(&Stub::Renew, RequestFor<proto::RenewRequest>(lease));
           },
       .give_back =
           [&] {
             auto request = RequestFor<proto::FailRequest>(lease);
             request.set_released(true);
             request.set_message("the worker ends");
             return call(&Stub::Fail, request);
           },
       .stop = stop_,
       .lost = &lost_});
  const absl::StatusOr<proto::EvaluationPart> result = Measure(lease);
  absl::Status status = result.status();
  if (status.ok()) {
    auto request = RequestFor<proto::CompleteRequest>(lease);
    *request.mutable_result() = *result;
    status = Call(&Stub::Complete, request, absl::InfiniteDuration()).status();
    if (absl::IsInvalidArgument(status)) status = Fail(lease, status, true);
  } else if (!lost_) {
    status = Fail(lease, status, IsForGood(status));
  }
  if (status.ok() && result.ok()) {
    options_.tell(
        absl::StrFormat("%s of %d is done (%.1f s)", Text(lease),
                        plan_.shards_size() + plan_.probes(),
                        absl::ToDoubleSeconds(Clock::Real()->Now() - begun)));
  } else if (*stop_) {
    options_.tell(absl::StrCat(Text(lease), " is given back"));
    return absl::OkStatus();
  } else if (lost_ || absl::IsAborted(status) || absl::IsNotFound(status)) {
    options_.tell(absl::StrCat(Text(lease), " is not this worker's any more"));
    return absl::OkStatus();
  }
  return status;
}

}  // namespace caracal
