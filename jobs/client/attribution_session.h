// A model, its data and what is asked of them: an attribution ready to be
// measured, whole or in parts.
#ifndef CARACAL_JOBS_CLIENT_ATTRIBUTION_SESSION_H_
#define CARACAL_JOBS_CLIENT_ATTRIBUTION_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/tokenizer.h"
#include "eval/attribution/result.h"
#include "eval/measure/measure.h"
#include "eval/probe/measure_probes.h"
#include "jobs/model/compute.h"
#include "jobs/model/loaded_model.h"
#include "proto/evaluation.pb.h"

namespace caracal {

// Not thread-safe.
class AttributionSession {
 public:
  // Loads the model, for the device that is asked for (ChooseDevice()), and
  // opens the data. `compute` outlives it, and is its alone where that is a
  // GPU; `stop` is looked at before every micro-batch, null: never stops.
  // Errors name the option or the file.
  static absl::StatusOr<std::unique_ptr<AttributionSession>> Open(
      const proto::EvaluationSpec& spec, const std::string& device,
      Compute* compute, const std::atomic<bool>* stop);

  const LoadedModel& model() const { return model_; }

  // All of it. `progress` as of MeasureOptions. kCancelled when stopped.
  absl::StatusOr<AttributionResult> Measure(
      const std::function<void(const std::string&, int, int)>& progress);

  // The same in parts. A plan is another process's, or this one's; one that is
  // too large for a coordinator is kInvalidArgument, and says what to change.
  absl::StatusOr<proto::EvaluationPlan> Plan();
  absl::StatusOr<proto::EvaluationPart> RunPart(
      const proto::EvaluationPlan& plan, int64_t part);

 private:
  AttributionSession(Compute* compute, const std::atomic<bool>* stop)
      : compute_(compute), stop_(stop) {}
  // What the result says of model and data.
  void Describe(AttributionSettings* settings) const;

  Compute* const compute_;
  const std::atomic<bool>* const stop_;
  proto::EvaluationSpec spec_;
  LoadedModel model_;
  std::unique_ptr<Tokenizer> tokenizer_;  // null: the model has none
  std::unique_ptr<PackedDataset> data_;   // null: none was asked for
  MeasureOptions options_;
  std::optional<ProbeOptions> probes_;  // none: none were asked for
};

// Merges the parts of an evaluation, the plan first: what Measure() gives.
// kInvalidArgument when they are not all there.
absl::StatusOr<AttributionResult> MergeParts(
    const std::vector<proto::EvaluationPart>& parts);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_ATTRIBUTION_SESSION_H_
