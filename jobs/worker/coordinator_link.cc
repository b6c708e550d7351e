#include "jobs/worker/coordinator_link.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/wire.h"

namespace caracal {
namespace {

constexpr size_t kMostSent = 512;  // in one request
constexpr std::chrono::seconds kPatience{5};
// At the end, for a coordinator that may be back in a moment.
constexpr absl::Duration kLastPatience = absl::Seconds(3);
constexpr absl::Duration kTryAgain = absl::Milliseconds(100);

void SetDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
}

}  // namespace

CoordinatorLink::CoordinatorLink(CoordinatorLinkOptions options)
    : options_(std::move(options)), thread_([this] { Run(); }) {}

CoordinatorLink::~CoordinatorLink() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
    give_up_at_ = Clock::Real()->Now() + kLastPatience;
    ended_.NotifyAll();
  }
  thread_.join();
}

void CoordinatorLink::SetProgress(const std::string& stage, int64_t global_step,
                                  int64_t total_steps) {
  absl::MutexLock lock(&mutex_);
  progress_.set_stage(stage);
  progress_.set_global_step(global_step);
  progress_.set_total_steps(total_steps);
}

void CoordinatorLink::AddMetrics(std::string line) {
  absl::MutexLock lock(&mutex_);
  lines_.push_back(std::move(line));
  if (lines_.size() > options_.most_kept) {
    lines_.pop_front();
    ++first_line_;
  }
}

void CoordinatorLink::Run() {
  while (true) {
    const absl::Status status = Beat();
    if (absl::IsAborted(status) || absl::IsNotFound(status)) {
      options_.fenced(std::string(status.message()));
      return;
    }
    if (!status.ok() && !away_.exchange(true)) {
      options_.tell(
          absl::StrCat("the coordinator can't be reached; training "
                       "goes on without it: ",
                       status.message()));
    } else if (status.ok() && away_.exchange(false)) {
      options_.tell("the coordinator is back");
    }
    absl::MutexLock lock(&mutex_);
    // What came meanwhile goes out at once, a full request at a time.
    const bool more = status.ok() && (lines_.size() >= kMostSent || IsBehind());
    if (ending_ && status.ok() && lines_.empty() && !IsBehind()) return;
    if (ending_ && !status.ok()) {
      // It may just have been started again, elsewhere.
      if (Clock::Real()->Now() >= give_up_at_) return;
      ended_.WaitFor(&mutex_, kTryAgain, [] { return false; });
      continue;
    }
    if (more || ending_) continue;
    ended_.WaitFor(&mutex_, options_.interval, [this] { return ending_; });
  }
}

absl::StatusOr<std::unique_ptr<proto::Gangs::Stub>> CoordinatorLink::Connect()
    const {
  if (options_.channel != nullptr) {
    return proto::Gangs::NewStub(options_.channel);
  }
  const absl::StatusOr<Endpoint> endpoint =
      ReadEndpoint(options_.endpoint_file);
  // A missing file is a coordinator that is not there, not a missing job.
  if (!endpoint.ok()) {
    return absl::UnavailableError(endpoint.status().message());
  }
  return proto::Gangs::NewStub(MakeChannel(*endpoint));
}

absl::Status CoordinatorLink::Register() {
  proto::RegisterRequest request;
  request.set_job(options_.gang.job);
  request.set_epoch(options_.gang.epoch);
  request.set_credential(options_.credential);
  for (const std::string& host : options_.hosts) request.add_hosts(host);
  proto::RegisterResponse response;
  grpc::ClientContext context;
  SetDeadline(&context);
  RETURN_IF_ERROR(FromGrpc(stub_->Register(&context, request, &response)));
  registered_ = true;
  Heed(response);
  return absl::OkStatus();
}

absl::StatusOr<proto::DirectResponse> CoordinatorLink::Direct(
    proto::DirectRequest request) {
  if (away_) {
    direct_stub_ = nullptr;
    return absl::UnavailableError("the coordinator is away");
  }
  if (direct_stub_ == nullptr) {
    ASSIGN_OR_RETURN(direct_stub_, Connect());
  }
  request.set_job(options_.gang.job);
  request.set_epoch(options_.gang.epoch);
  request.set_credential(options_.credential);
  proto::DirectResponse response;
  grpc::ClientContext context;
  SetDeadline(&context);
  const absl::Status status =
      FromGrpc(direct_stub_->Direct(&context, request, &response));
  if (status.ok()) return response;
  direct_stub_ = nullptr;
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(status.message());
  }
  return status;
}

absl::Status CoordinatorLink::Beat() {
  if (stub_ == nullptr) {
    ASSIGN_OR_RETURN(stub_, Connect());
  }
  const auto exchange = [&]() -> absl::Status {
    if (!registered_) RETURN_IF_ERROR(Register());
    proto::HeartbeatRequest request;
    request.set_job(options_.gang.job);
    request.set_epoch(options_.gang.epoch);
    request.set_credential(options_.credential);
    {
      absl::MutexLock lock(&mutex_);
      *request.mutable_progress() = progress_;
    }
    int64_t first = 0;
    for (std::string& line : NextLines(&first)) {
      request.add_metrics(std::move(line));
    }
    request.set_first_line(static_cast<uint64_t>(first));
    proto::HeartbeatResponse response;
    grpc::ClientContext context;
    SetDeadline(&context);
    RETURN_IF_ERROR(FromGrpc(stub_->Heartbeat(&context, request, &response)));
    Heed(response);
    return absl::OkStatus();
  };
  const absl::Status status = exchange();
  if (!status.ok()) {
    // It may be elsewhere by now, and may have been another one.
    stub_ = nullptr;
    registered_ = false;
  }
  return status;
}

std::vector<std::string> CoordinatorLink::NextLines(int64_t* first) {
  int64_t last = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (!IsBehind()) {
      *first = first_line_;
      const size_t count = std::min(lines_.size(), kMostSent);
      return {lines_.begin(), lines_.begin() + static_cast<int64_t>(count)};
    }
    *first = stored_ + 1;
    last = first_line_ - 1;
  }
  const size_t most =
      static_cast<size_t>(std::min<int64_t>(kMostSent, last - *first + 1));
  absl::StatusOr<std::vector<std::string>> lines =
      options_.written != nullptr
          ? options_.written(*first, most)
          : absl::NotFoundError("they are not written anywhere");
  if (lines.ok() && lines->empty()) {
    lines = absl::NotFoundError("they are not where they were written");
  }
  if (lines.ok()) return *std::move(lines);
  options_.tell(absl::StrCat("lines ", *first, " to ", last,
                             " of the metrics are missing at the coordinator: ",
                             lines.status().message()));
  absl::MutexLock lock(&mutex_);
  stored_ = given_up_ = last;
  *first = last + 1;
  return {};
}

template <typename Response>
void CoordinatorLink::Heed(const Response& response) {
  tunings_ = response.tunings();
  {
    absl::MutexLock lock(&mutex_);
    stored_ = std::max(static_cast<int64_t>(response.lines()), given_up_);
    while (!lines_.empty() &&
           first_line_ <= static_cast<int64_t>(response.lines())) {
      lines_.pop_front();
      ++first_line_;
    }
  }
  if (response.stop() && !std::exchange(told_to_stop_, true)) options_.stop();
}

}  // namespace caracal
