// Runs passes over the same rows; what was run already is not run again.
#ifndef CARACAL_EVAL_MEASURE_MEASUREMENT_H_
#define CARACAL_EVAL_MEASURE_MEASUREMENT_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
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

  // Rows that went through the model: what a measurement costs. A row of a pass
  // whose losses follow from an earlier one is not among them: where its linear
  // part has no key, hybrid and swa_only are the same.
  int64_t rows_run() const { return rows_run_; }

 private:
  // Sums over the scored tokens of one row.
  struct RowSums {
    double sum = 0, count = 0, late_sum = 0, late_count = 0;
  };

  using Key = std::pair<int64_t, std::string>;  // a row, and SameLosses()

  // Of rows that were run.
  Key KeyOf(const Pass& pass, int64_t row) const;
  absl::Status Fill(absl::Span<const int64_t> rows);
  absl::Status RunBatch(const Pass& pass, absl::Span<const int64_t> rows,
                        AttentionStatistics* statistics);
  absl::StatusOr<ModeResult> Collect(const Pass& pass) const;

  const Llama& model_;
  Execution exec_;
  PackedDataset& data_;
  const MeasureOptions& options_;
  int64_t rows_, seq_len_;
  BatchBuffer buffer_;
  // (rows) tokens of the longest sequence of each; 0 before it was run.
  std::vector<int64_t> longest_;
  std::vector<float> nll_;
  ModePlan plan_;
  int64_t rows_run_ = 0;
  std::string rows_digest_;
  std::map<Key, RowSums> known_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_MEASUREMENT_H_
