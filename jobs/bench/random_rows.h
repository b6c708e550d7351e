// Rows of pseudo-random tokens: data for a measurement.
#ifndef CARACAL_JOBS_BENCH_RANDOM_ROWS_H_
#define CARACAL_JOBS_BENCH_RANDOM_ROWS_H_

#include <cstdint>
#include <vector>

#include "core/model/batch_buffer.h"
#include "jobs/train/layer_chain.h"

namespace caracal {

// `count` tokens below `vocabulary`, the same in every call.
std::vector<int32_t> RandomTokens(int64_t count, int64_t vocabulary);

// `count` rows of seq_len random tokens, and their targets.
void FillWithRandomRows(int64_t count, int64_t vocabulary, BatchBuffer* out);

// What a layer chain runs ahead on: the same random rows, step after step.
class RandomMicroBatches final : public MicroBatches {
 public:
  RandomMicroBatches(int64_t steps, int64_t per_step, int64_t rows,
                     int64_t seq_len, int64_t vocabulary)
      : steps_(steps),
        per_step_(per_step),
        rows_(rows),
        seq_len_(seq_len),
        vocabulary_(vocabulary) {}

  int64_t count() const override { return steps_ * per_step_; }
  int64_t rows() const override { return rows_; }
  int64_t seq_len() const override { return seq_len_; }
  bool reset_at_document() const override { return false; }
  int64_t per_step() const override { return per_step_; }
  absl::Status Fill(int64_t, BatchBuffer* out) override {
    FillWithRandomRows(rows_, vocabulary_, out);
    return absl::OkStatus();
  }

 private:
  int64_t steps_, per_step_, rows_, seq_len_, vocabulary_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_RANDOM_ROWS_H_
