#include "jobs/evaluator/evaluator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/base/version.h"
#include "jobs/evaluator/lease_keeper.h"
#include "jobs/evaluator/patient_call.h"

namespace caracal {
namespace {

// While there is nothing to do.
constexpr absl::Duration kFirstPoll = absl::Milliseconds(100);
constexpr absl::Duration kLongestPoll = absl::Seconds(1);
// An idle worker's model stays so long: a part of it may come back.
constexpr absl::Duration kKeepModel = absl::Seconds(10);
// After a part that failed: somebody else may have more luck with it.
constexpr absl::Duration kAfterFailure = absl::Seconds(1);
// What was measured is not thrown away sooner, whatever idle_exit is.
constexpr absl::Duration kAway = absl::Minutes(1);
constexpr size_t kLongestMessage = 4096;
// A result that is refused for so long, by a coordinator that is there, is not
// waited for.
constexpr absl::Duration kRefused = absl::Minutes(1);

// Of a measurement: that it would fail everywhere. A file that is missing when
// the plan is made is taken for a wrong path; later, for a machine that does
// not have what the one that made the plan had.
bool IsForGood(const absl::Status& status, int64_t part) {
  return absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status) ||
         (part == 0 && absl::IsNotFound(status));
}

// Of a result that the coordinator does not take: that it is the result, not
// who brings it, and when.
bool IsOfResult(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return false;
    default:
      return true;
  }
}

absl::Status TooLarge(int64_t part, const absl::Status& why) {
  return absl::InvalidArgumentError(absl::StrCat(
      part == 0 ? "its plan is too large for the coordinator: take a larger "
                  "--part-rows or fewer --rows"
                : "what a part measures is too large for the coordinator: take "
                  "a smaller --part-rows",
      " (", why.message(), ")"));
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
    : options_(std::move(options)), stop_(stop) {}

void Evaluator::Sleep(absl::Duration d) const {
  SleepUnless(stop_, nullptr, d);
}

template <typename Request, typename Response>
absl::StatusOr<Response> Evaluator::Call(
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const Request& request, const PatientCallOptions& patience) {
  absl::StatusOr<Response> response;
  const absl::Status status = CallPatiently(patience, [&] {
    response = options_.server.Call(method, request);
    return response.status();
  });
  if (!status.ok()) return status;
  return response;
}

PatientCallOptions Evaluator::Patience() const {
  return {.stop = stop_,
          .lost = &lost_,
          .away = std::max(options_.idle_exit, kAway),
          .refused = kRefused,
          .tell = options_.tell};
}

absl::Status Evaluator::Run() {
  Clock* const clock = Clock::Real();
  absl::Duration busy = clock->Now(), poll = kFirstPoll;
  while (!*stop_) {
    proto::LeaseRequest request;
    request.set_worker(options_.name);
    request.set_version(kVersion);
    request.set_prefers(evaluation_);
    PatientCallOptions patience = Patience();
    patience.lost = nullptr;
    patience.away = patience.refused = busy + options_.idle_exit - clock->Now();
    const absl::StatusOr<proto::LeaseResponse> lease =
        Call(&Stub::Lease, request, patience);
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
      Forget();
    }
    Sleep(poll);
    poll = std::min(2 * poll, kLongestPoll);
  }
  return absl::OkStatus();
}

void Evaluator::Forget() {
  evaluation_ = 0;
  session_ = nullptr;
  compute_.reset();
}

absl::StatusOr<proto::EvaluationPart> Evaluator::Measure(
    const proto::LeaseResponse& lease) {
  if (lease.has_spec()) {
    Forget();  // Not two models at a time.
    plan_ = lease.plan();
    options_.tell(absl::StrCat("evaluation ", lease.evaluation(), ": loads ",
                               lease.spec().model()));
    compute_.emplace(options_.threads);
    ASSIGN_OR_RETURN(session_,
                     AttributionSession::Open(lease.spec(), options_.device,
                                              &*compute_, &lost_));
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
  request.set_message(AsValidUtf8(why.message().substr(0, kLongestMessage)));
  const absl::Status failed = Call(&Stub::Fail, request, Patience()).status();
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
  absl::StatusOr<proto::EvaluationPart> result = Measure(lease);
  absl::Status status = result.status();
  if (result.ok()) {
    auto request = RequestFor<proto::CompleteRequest>(lease);
    *request.mutable_result() = *std::move(result);
    status = Call(&Stub::Complete, request, Patience()).status();
    if (status.ok()) {
      options_.tell(
          absl::StrFormat("%s of %d is done (%.1f s)", Text(lease),
                          plan_.shards_size() + plan_.probes(),
                          absl::ToDoubleSeconds(Clock::Real()->Now() - begun)));
      return status;
    }
    if (!lost_ && IsOfResult(status)) {
      if (IsTooLarge(status)) status = TooLarge(lease.part(), status);
      status = Fail(lease, status, IsForGood(status, lease.part()));
    }
  } else if (!lost_) {
    status = Fail(lease, status, IsForGood(status, lease.part()));
  }
  if (status.ok()) return status;
  if (*stop_) {
    options_.tell(absl::StrCat(Text(lease), " is given back"));
    return absl::OkStatus();
  }
  if (lost_ || absl::IsAborted(status) || absl::IsNotFound(status)) {
    options_.tell(absl::StrCat(Text(lease), " is not this worker's any more"));
    return absl::OkStatus();
  }
  return status;
}

}  // namespace caracal
