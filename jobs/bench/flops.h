// The work of a stage in floating-point operations: what a token needs, not
// what the kernels happen to execute.
#ifndef CARACAL_JOBS_BENCH_FLOPS_H_
#define CARACAL_JOBS_BENCH_FLOPS_H_

#include <cstdint>
#include <string>

#include "core/io/model_config.h"
#include "core/model/adapters.h"

namespace caracal {

// Multiply-adds count 2; norms, softmax and other elementwise work count 0.
struct FlopCount {
  double projections = 0;  // matrix products with the base weights
  double attention = 0;    // the teacher's, and the student's both parts
  double feature_maps = 0;
  double lora = 0;
  double total() const { return projections + attention + feature_maps + lora; }
  std::string formula;  // one line a term, with the symbols it uses
};

// Per token of rows of T = seq_len. C hidden, H and G query and key/value
// heads, D head dimension, M MLP columns, V vocabulary, L layers, F features,
// P = 2F outputs of the map, w = mean number of softmax keys of a row.
// `weights`: the loss is on attention weights (xent, kl) instead of outputs
// (mse).
FlopCount TransferFlops(const ModelConfig& model, const StudentConfig& student,
                        int64_t seq_len, bool weights = false);
FlopCount FinetuneFlops(const ModelConfig& model, const StudentConfig& student,
                        int64_t seq_len);
// One new token at context length `context`.
FlopCount DecodeFlops(const ModelConfig& model, const StudentConfig& student,
                      int64_t context);

}  // namespace caracal

#endif  // CARACAL_JOBS_BENCH_FLOPS_H_
