#include "jobs/client/service/submit_all.h"

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace caracal {
namespace {

// How many are under way.
class Window {
 public:
  // Until there is room for one.
  void Enter() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* n) { return *n < kSubmissionsUnderWay; }, &under_way_));
    ++under_way_;
  }
  void Leave() {
    absl::MutexLock lock(&mutex_);
    --under_way_;
  }
  void AwaitAll() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* n) { return *n == 0; }, &under_way_));
  }

 private:
  absl::Mutex mutex_;
  int under_way_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct SubmitCall {
  grpc::ClientContext context;
  proto::SubmitResponse response;
  grpc::Status status;
};

}  // namespace

std::vector<absl::StatusOr<proto::SubmitResponse>> SubmitAll(
    const ServerOption& server,
    const std::vector<const proto::SubmitRequest*>& requests) {
  using Answer = absl::StatusOr<proto::SubmitResponse>;
  const absl::StatusOr<std::unique_ptr<proto::Jobs::Stub>> stub =
      server.Connect();
  if (!stub.ok()) return std::vector<Answer>(requests.size(), stub.status());
  std::vector<Answer> answers(requests.size());
  std::vector<std::unique_ptr<SubmitCall>> calls(requests.size());
  Window window;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto call = std::make_unique<SubmitCall>();
    if (absl::Status status = server.AddToken(&call->context); !status.ok()) {
      answers[i] = std::move(status);
      continue;
    }
    window.Enter();
    calls[i] = std::move(call);
    SubmitCall& c = *calls[i];
    ServerOption::SetDeadline(&c.context);
    const std::function<void(grpc::Status)> done = [&window,
                                                    &c](grpc::Status status) {
      c.status = std::move(status);
      window.Leave();
    };
    (*stub)->async()->Submit(&c.context, requests[i], &c.response, done);
  }
  window.AwaitAll();
  for (size_t i = 0; i < requests.size(); ++i) {
    if (calls[i] == nullptr) continue;
    if (calls[i]->status.ok()) {
      answers[i] = std::move(calls[i]->response);
    } else {
      answers[i] = server.Explain(calls[i]->status);
    }
  }
  return answers;
}

}  // namespace caracal
