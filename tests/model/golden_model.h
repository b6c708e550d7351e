// A model of tests/golden with everything a pass over it needs.
#ifndef CARACAL_TESTS_MODEL_GOLDEN_MODEL_H_
#define CARACAL_TESTS_MODEL_GOLDEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/collective/collective.h"
#include "core/io/weight_source.h"
#include "core/model/llama.h"
#include "core/tape/execution.h"
#include "core/tensor/arena.h"
#include "kernels/common/thread_pool.h"

namespace caracal::golden {

// Rows of T tokens and their targets, as one batch.
class GoldenBatch {
 public:
  // rows [n * (T + 1)], T + 1 tokens each. With `documents` (same shape),
  // every document of a row becomes a sequence of its own.
  GoldenBatch(const std::vector<int32_t>& rows, int64_t tokens_per_row,
              const std::vector<int32_t>* documents = nullptr);

  TokenBatch batch() const;
  int64_t rows() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t sequences() const {
    return static_cast<int64_t>(offsets_.size()) - 1;
  }

 private:
  std::vector<int32_t> tokens_, targets_, positions_;
  std::vector<int64_t> offsets_;
};

// Not copyable: the parts point at one another.
class GoldenModel {
 public:
  // `path`: what OpenModel takes. With a `group`: this rank's shard of it; the
  // group must outlive the model.
  static absl::StatusOr<std::unique_ptr<GoldenModel>> Load(
      const std::string& path, int threads = 2, Collective* group = nullptr);

  // Makes the student: from a safetensors file, or untrained when `student`
  // is empty (identity feature maps, gamma 0.1, LoRA of `lora.rank` with B
  // zero).
  absl::Status SetStudent(const kernels::HybridAttentionConfig& attention,
                          const LoraConfig& lora, const std::string& student);
  // Makes that student, every tensor at its initial value.
  void SetStudent(const StudentConfig& config);

  Llama& llama() { return *llama_; }
  Adapters& adapters() { return *adapters_; }
  Execution& exec() { return exec_; }
  const LlamaWeights& weights() const { return weights_; }

  // -log p(target) of each row of the batch, all layers as in the plan.
  std::vector<float> Losses(const GoldenBatch& batch, const ModePlan& plan,
                            AttentionStatistics* statistics = nullptr);

 private:
  explicit GoldenModel(int threads) : pool_(threads) {}

  ThreadPool pool_;
  Arena arena_;
  SingleProcessCollective collective_;
  Execution exec_;
  std::unique_ptr<WeightSource> source_;
  LlamaWeights weights_;
  std::unique_ptr<Adapters> adapters_;
  std::unique_ptr<Llama> llama_;
};

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_GOLDEN_MODEL_H_
