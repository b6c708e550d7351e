// Losses of component modes on held-out rows, while training.
#ifndef CARACAL_JOBS_TRAIN_HELD_OUT_PROBE_H_
#define CARACAL_JOBS_TRAIN_HELD_OUT_PROBE_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "dist/gang/gang.h"

namespace caracal {

// Borrows all it is given. The arena of `exec` is used and reset. Not
// thread-safe.
class HeldOutProbe {
 public:
  // The first `rows` rows, `micro_batch` at a time, T = seq_len targets each,
  // shared out over the data ranks of the gang.
  HeldOutProbe(Llama* model, Execution exec, Gang* gang, PackedDataset* data,
               int64_t rows, int64_t seq_len, int64_t micro_batch,
               bool reset_at_document);

  // Nats a token over unmasked targets; with `past_only` over those whose
  // position has a key outside window and sinks. kFailedPrecondition naming
  // the file when there is no such target. The same on all ranks, which all
  // have to ask.
  absl::StatusOr<double> Loss(ComponentMode mode, bool past_only);

  // Of each layer of the model, as hybrid: the mean over its heads of la_mass
  // (docs/method.md, section 5), over the first 8 rows at most; NaN for a layer
  // without a linear part, and where no position has a key for one. Of ranks
  // that hold all layers. The same on all ranks, which all have to ask.
  absl::StatusOr<std::vector<double>> LaMassByLayer();

 private:
  Llama* model_;
  Execution exec_;
  Gang* gang_;
  PackedDataset* data_;
  int64_t rows_, micro_batch_;
  BatchBuffer batch_;
  ModePlan plan_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_HELD_OUT_PROBE_H_
