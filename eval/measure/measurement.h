// Runs passes over the same rows; what was run already is not run again.
#ifndef CARACAL_EVAL_MEASURE_MEASUREMENT_H_
#define CARACAL_EVAL_MEASURE_MEASUREMENT_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "eval/attribution/result.h"
#include "eval/measure/measure.h"
#include "eval/measure/pass.h"

namespace caracal {

// Borrows all it is given; changes the model's attention settings during a
// pass and sets them back. Not thread-safe.
class Measurement {
 public:
  Measurement(const Llama& model, Execution exec, PackedDataset& data,
              const MeasureOptions& options, int64_t rows, int64_t seq_len);

  // Losses under the pass's name. With pass.statistics masses are added to
  // *statistics, which is otherwise not looked at. kCancelled when stopped.
  absl::StatusOr<ModeResult> Run(const Pass& pass,
                                 AttentionStatistics* statistics);

  // Share of scored tokens whose predicting row has a non-empty L_n. Reads
  // all rows, and takes their digest.
  absl::StatusOr<double> Reach();
  // Of tokens, targets and masks of all rows, in order; "" before Reach().
  const std::string& rows_digest() const { return rows_digest_; }

  // Batches that went through the model: what a measurement costs.
  int64_t batches_run() const { return batches_run_; }

 private:
  // Sums over the scored tokens of one row.
  struct RowSums {
    double sum = 0, count = 0, late_sum = 0, late_count = 0;
  };

  absl::Status Fill(int64_t begin, int64_t count);
  absl::StatusOr<std::vector<RowSums>> RunBatch(
      const Pass& pass, int64_t begin, int64_t count,
      AttentionStatistics* statistics);

  const Llama& model_;
  Execution exec_;
  PackedDataset& data_;
  const MeasureOptions& options_;
  int64_t rows_, seq_len_;
  BatchBuffer buffer_;
  std::vector<float> nll_;
  ModePlan plan_;
  int64_t batches_run_ = 0;
  std::string rows_digest_;
  // Longest sequence of the batch that begins with a row, tokens.
  std::map<int64_t, int64_t> longest_;
  // By the batch's first row and SameLosses().
  std::map<std::pair<int64_t, std::string>, std::vector<RowSums>> known_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_MEASUREMENT_H_
