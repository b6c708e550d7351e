// A worker of the evaluation pool: leases parts of attributions from the
// coordinator, measures them and brings what it measured.
#ifndef CARACAL_JOBS_EVALUATOR_EVALUATOR_H_
#define CARACAL_JOBS_EVALUATOR_EVALUATOR_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/client/attribution_session.h"
#include "jobs/client/service/server_option.h"
#include "jobs/evaluator/patient_call.h"
#include "jobs/model/compute.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {

struct EvaluatorOptions {
  ServerOption server;
  std::string name;  // for people: host and process
  int threads = 0;   // 0: one a core
  // As ChooseDevice() has it.
  std::string device = "auto";
  // Ends when there was nothing to do, or no coordinator, for so long.
  absl::Duration idle_exit = absl::InfiniteDuration();
  // A line for people.
  std::function<void(const std::string&)> tell;
};

// Not thread-safe.
class Evaluator {
 public:
  // `stop` outlives it.
  Evaluator(EvaluatorOptions options, const std::atomic<bool>* stop);

  // Until `stop` is set or there was nothing to do for long: OK. A coordinator
  // that is away is waited for, and told of. Other errors are those of calls
  // that would be refused again: who calls, and may they.
  absl::Status Run();

 private:
  using Stub = proto::Evaluations::Stub;

  // As CallPatiently.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, const PatientCallOptions& patience);
  // With calls about the part that is worked on.
  PatientCallOptions Patience() const;
  // Errors are those of the pool; what is wrong with the part is the pool's to
  // hear.
  absl::Status Work(const proto::LeaseResponse& lease);
  absl::StatusOr<proto::EvaluationPart> Measure(
      const proto::LeaseResponse& lease);
  absl::Status Fail(const proto::LeaseResponse& lease, const absl::Status& why,
                    bool for_good);
  // Frees the model and what it runs on.
  void Forget();
  // Waits for `d` or for stop.
  void Sleep(absl::Duration d) const;

  const EvaluatorOptions options_;
  const std::atomic<bool>* const stop_;
  std::atomic<bool> lost_{false};  // the part that is worked on
  // Of the evaluation that was last worked on; 0: none.
  uint64_t evaluation_ = 0;
  std::optional<Compute> compute_;  // the session's
  std::unique_ptr<AttributionSession> session_;
  proto::EvaluationPlan plan_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_EVALUATOR_EVALUATOR_H_
