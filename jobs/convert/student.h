// The model that is trained, as a rank of some layout holds it.
#ifndef CARACAL_JOBS_CONVERT_STUDENT_H_
#define CARACAL_JOBS_CONVERT_STUDENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/weight_source.h"
#include "core/model/llama.h"
#include "core/model/shard.h"
#include "core/tape/execution.h"
#include "dist/gang/gang.h"
#include "proto/job.pb.h"

namespace caracal {

// Not copyable: the parts point at one another.
struct Student {
  LlamaWeights weights;
  std::unique_ptr<Adapters> adapters;
  std::unique_ptr<Llama> llama;

  // Reads this rank's part of the base model, and makes the adapters as they
  // are before the first step. `layers`: this rank's, of a layer chain, where
  // nothing but attention transfer is run; null: all. Errors name file and
  // tensor.
  static absl::StatusOr<std::unique_ptr<Student>> Load(
      const proto::Job& job, const WeightSource& source, Gang& gang,
      const Execution& exec, const IndexRange* layers);
};

// The layers of each rank of the gang's layer chain, balanced by what layers
// cost on the leading rank. Every rank calls, and gets the same; `exec` with
// this rank's tensor-parallel group.
absl::StatusOr<std::vector<IndexRange>> BalanceLayers(
    const proto::Job& job, const WeightSource& source, Gang& gang,
    const Execution& exec, int64_t seq_len, std::vector<double>* costs);

// "layers 0 to 15 | 16 to 29, 0.98 and 1.02 of an even share".
std::string LayerSplitWords(const std::vector<IndexRange>& split,
                            const std::vector<double>& costs);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_STUDENT_H_
