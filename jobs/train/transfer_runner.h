// Steps of attention transfer.
#ifndef CARACAL_JOBS_TRAIN_TRANSFER_RUNNER_H_
#define CARACAL_JOBS_TRAIN_TRANSFER_RUNNER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "jobs/train/layer_chain.h"
#include "jobs/train/stage_runner.h"

namespace caracal {

class TransferRunner final : public StageRunner {
 public:
  // The store's trained groups are set. `rows`: where the gang has a layer
  // chain, what its ranks run ahead on; else null.
  TransferRunner(const proto::TransferStage& stage, Llama* model,
                 Execution exec, Gang* gang, int64_t micro_batch,
                 const AdamWSettings& settings, MicroBatches* rows);

  const char* name() const override { return "transfer"; }
  absl::Status Validate(BatchBuffer& batch, LossSums* sums) override;
  double ValidationLoss(const LossSums& sums) const override {
    return ResultOf(sums).loss;
  }
  absl::Status Finish() override;

 protected:
  absl::Status Accumulate(BatchBuffer& batch, const StepInputs& in, Pass pass,
                          LossSums* sums) override;
  StepResult ResultOf(const LossSums& sums) const override;

 private:
  double AttentionRows(double rows) const;
  TransferObjective ObjectiveOf(const BatchBuffer& batch);
  void RunAlone(BatchBuffer& batch, const TransferObjective& objective,
                bool update);
  // This rank's sums of the last pass over `rows` rows.
  void AddSums(int64_t rows, LossSums* out);
  void CheckFinite(size_t layer, const char* what, double value);

  proto::TransferLoss loss_;
  uint8_t terms_;
  int64_t converted_ = 0;           // layers of the whole model
  int64_t seq_len_ = 0;             // of the last batch
  std::vector<TransferSums> sums_;  // [layers of this rank]
  std::optional<LayerChain> chain_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_TRANSFER_RUNNER_H_
