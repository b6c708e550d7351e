// Attention transfer on a chain of ranks that hold consecutive layers each.
//
// Layers learn from the teacher's stream alone, so that nothing flows back
// along the chain; what a step waits for is the norm of all its gradients. A
// rank therefore runs the teacher's pass as many micro-batches ahead of its
// students as there are ranks after it in the chain, also past the step's end:
// while the last rank finishes a step, those before it have the next one's
// stream under way, and no rank waits for another. The teacher is frozen: what
// is computed ahead is what would be computed later, bit for bit.
#ifndef CARACAL_JOBS_TRAIN_LAYER_CHAIN_H_
#define CARACAL_JOBS_TRAIN_LAYER_CHAIN_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/batch_buffer.h"
#include "core/model/llama.h"
#include "core/tensor/tensor.h"
#include "dist/gang/gang.h"
#include "kernels/common/thread_pool.h"

namespace caracal {

// The rows of a rank, from a stage's current step to its end.
class MicroBatches {
 public:
  virtual ~MicroBatches() = default;
  virtual int64_t count() const = 0;
  virtual int64_t rows() const = 0;     // of each
  virtual int64_t seq_len() const = 0;  // of a row, tokens
  virtual bool reset_at_document() const = 0;
  // Of a step: count() is a multiple of it.
  virtual int64_t per_step() const = 0;
  // The index-th; ranks of a chain get the same.
  virtual absl::Status Fill(int64_t index, BatchBuffer* out) = 0;
};

// One rank of a chain. All make the same calls with as many rows. Borrows all
// it is given; its memory is taken at the first step. Errors of a link leave
// the chain unusable. Not thread-safe.
class LayerChain {
 public:
  LayerChain(Llama* model, Gang* gang, MicroBatches* source);

  // The students of the next step's micro-batches: `sums` [layers of this
  // rank] and gradients as Llama::TransferStep. `last` is called before the
  // last of them. Errors of a pass are in exec.status.
  absl::Status Step(Execution& exec, const TransferObjective& objective,
                    TransferSums* sums, FunctionRef<void()> last);

  // The last step's micro-batches again.
  absl::Status Repeat(Execution& exec, const TransferObjective& objective,
                      TransferSums* sums);
  // Other rows, `micro_batch` at a time.
  absl::Status Run(Execution& exec, BatchBuffer& rows, int64_t micro_batch,
                   const TransferObjective& objective, TransferSums* sums);

  // Between two steps: until nothing is under way on the links.
  absl::Status Drain();

 private:
  // A micro-batch that the teacher has passed and the students have not.
  struct Slot {
    explicit Slot(const MicroBatches& source)
        : rows(source.rows(), source.seq_len(), source.reset_at_document()) {}
    BatchBuffer rows;
    TokenBatch tokens;
    std::unique_ptr<Arena> device_arena;  // null: on the host
    Arena arena;
    std::vector<TransferKept> kept;
  };

  bool first() const { return place_ == 0; }
  bool last() const { return place_ + 1 == gang_->shape().layer; }
  absl::Status Prepare(Execution& exec);
  // `x` from the rank before (undefined: there is none) to the one after;
  // `kept` in exec.arena.
  absl::Status Teacher(Execution& exec, const TokenBatch& tokens, TensorView x,
                       TransferKept* kept);
  absl::Status RunOne(Execution& exec, const TokenBatch& tokens,
                      const TransferObjective& objective, TransferSums* sums);
  // The stream of a batch from the rank before, into a buffer of the chain's.
  absl::StatusOr<TensorView> StartReceive(const Execution& exec,
                                          const TokenBatch& tokens,
                                          Tensor* buffer);
  absl::Status SendOn(const Execution& exec, const TensorView& x);

  Llama* model_;
  Gang* gang_;
  MicroBatches* source_;
  const int place_;
  const int64_t ahead_;                       // micro-batches
  std::vector<std::unique_ptr<Slot>> slots_;  // of index i: i % (ahead + 1)
  int64_t prepared_ = 0, done_ = 0;           // micro-batches
  int64_t received_ = 0;                      // started to be
  // [rows of the stream, C]: two that come in turn, one on its way out, one for
  // rows apart from training.
  Tensor in_[2], out_, aside_;
  TensorView incoming_[2];  // rows of in_
};

}  // namespace caracal

#endif  // CARACAL_JOBS_TRAIN_LAYER_CHAIN_H_
