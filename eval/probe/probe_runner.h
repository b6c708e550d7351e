// Runs passes over the samples of one probe and scores their answers.
#ifndef CARACAL_EVAL_PROBE_PROBE_RUNNER_H_
#define CARACAL_EVAL_PROBE_PROBE_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/llama.h"
#include "eval/attribution/probe_result.h"
#include "eval/measure/pass.h"
#include "eval/probe/probe_sample.h"

namespace caracal {

// Samples as a batch: all tokens but the last are fed.
class ProbeBatch {
 public:
  explicit ProbeBatch(absl::Span<const ProbeSample> samples);

  // Valid as long as this object.
  TokenBatch batch() const;
  // The rows that predict the answers' tokens, in order.
  const std::vector<int64_t>& predicting() const { return predicting_; }
  // Tokens of the longest sequence.
  int64_t longest() const { return longest_; }

 private:
  std::vector<int32_t> tokens_, positions_;
  std::vector<int64_t> offsets_ = {0}, predicting_;
  int64_t longest_ = 0;
};

// Borrows all it is given. Not thread-safe.
class ProbeRunner {
 public:
  ProbeRunner(const Llama& model, Execution exec,
              const std::vector<ProbeSample>& samples, int64_t micro_batch,
              const std::atomic<bool>* stop);

  // The answers under the pass's name; kCancelled when stopped.
  absl::StatusOr<ProbeMode> Run(const Pass& pass);

  // Batches that went through the model: what the probe costs.
  int64_t batches_run() const { return batches_run_; }

 private:
  absl::StatusOr<ProbeMode> RunBatch(const Pass& pass, size_t begin,
                                     size_t count);

  const Llama& model_;
  Execution exec_;
  const std::vector<ProbeSample>& samples_;
  size_t micro_batch_;
  const std::atomic<bool>* stop_;
  ModePlan plan_;
  int64_t batches_run_ = 0;
  // By the batch's first sample and SameLosses().
  std::map<std::pair<size_t, std::string>, ProbeMode> known_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_PROBE_RUNNER_H_
