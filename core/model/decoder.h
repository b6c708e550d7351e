// Prefill and decoding of one sequence, with a cache that hybrid layers keep
// at constant size.
#ifndef CARACAL_CORE_MODEL_DECODER_H_
#define CARACAL_CORE_MODEL_DECODER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/model/attention_cache.h"
#include "core/model/llama.h"

namespace caracal {

// Feeding n tokens gives the same logits as feeding k and then n - k, for any
// k: the same masks serve training, prefill and decoding. All but
// kLolcatsTerraced, where the first call's tokens are the prompt, whose length
// the mask depends on, and what follows is decoded one by one, with a sliding
// window. Not thread-safe.
// On a device there is no cache yet: every call runs the whole text, which is
// good for the few tokens of a report.
// After the second single-token call of a length class nothing is allocated.
class Decoder {
 public:
  // Every layer in `mode`, but those kept as softmax. Borrows model and exec's
  // parts. exec.arena is used by this decoder alone.
  Decoder(const Llama* model, Execution exec, ComponentMode mode);
  // Layers and heads as in a plan of one sequence, which need not outlive the
  // call.
  Decoder(const Llama* model, Execution exec, const ModePlan& plan);

  // Feeds tokens and returns the logits of the last one: fp32 [V of this
  // shard], valid until the next call. kOutOfRange beyond the model's
  // positions; kInvalidArgument for a token outside the vocabulary.
  absl::StatusOr<ConstTensorView> Feed(absl::Span<const int32_t> tokens);

  // The likeliest next token by the last logits; ties: the lowest id.
  int32_t Greedy() const;

  void Reset();
  int64_t length() const { return length_; }
  // Positions the model was loaded for.
  int64_t max_length() const { return model_->weights().rope_cos.dim(0); }
  size_t cache_bytes() const;

 private:
  absl::Status FeedAgain(absl::Span<const int32_t> tokens);
  absl::Status FeedChunk(absl::Span<const int32_t> tokens, bool want_logits);
  // Tokens of the next pass, of `count` that are to be fed.
  int64_t ChunkOf(int64_t count) const;

  const Llama* model_;
  Execution exec_;
  bool lora_;
  std::vector<std::unique_ptr<AttentionCache>> caches_;  // one a layer
  std::vector<int32_t> positions_;
  std::vector<float> logits_;
  ModePlan plan_;              // on a device
  std::vector<int32_t> text_;  // likewise: all that was fed
  int64_t length_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_DECODER_H_
