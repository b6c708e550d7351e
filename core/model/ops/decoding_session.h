// Decoding on an accelerator: what attention remembers of some sequences' past
// lies there, and so does all that a step reads and leaves.
#ifndef CARACAL_CORE_MODEL_OPS_DECODING_SESSION_H_
#define CARACAL_CORE_MODEL_OPS_DECODING_SESSION_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/model/token_batch.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// N sequences of one model, each in its modes; from a ModelOps. Positions past
// the model's are the caller's to refuse. Belongs to one thread.
class DecodingSession {
 public:
  virtual ~DecodingSession() = default;

  // Starts anew, with a text of each sequence, of one token at least. Resets
  // the arena of the Execution it was made with.
  virtual absl::Status Start(const TokenBatch& texts) = 0;

  // One more token of each sequence, [N], or, without any, those that the last
  // call found likeliest: then the host has no part in it. Does not wait.
  virtual absl::Status Step(absl::Span<const int32_t> tokens) = 0;

  // What the last call found; these wait for the device.
  // The likeliest next token of each sequence, [N]; ties: the lowest id.
  virtual absl::Status ReadLikeliest(absl::Span<int32_t> tokens) = 0;
  // fp32 [N, V] in host memory.
  virtual absl::Status ReadLogits(TensorView logits) = 0;

  // Of what is remembered. Constant but for layers of full attention.
  virtual size_t cache_bytes() const = 0;
  // That a step reads and writes, on average, at the present lengths: weights,
  // feature maps, what is remembered.
  virtual double step_bytes() const = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_DECODING_SESSION_H_
