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
#include "core/model/ops/decoding_session.h"

namespace caracal {

// Feeding n tokens gives the same logits as feeding k and then n - k, for any
// k: the same masks serve training, prefill and decoding. All but
// kLolcatsTerraced, where the first call's tokens are the prompt, whose length
// the mask depends on, and what follows is decoded one by one, with a sliding
// window. Not thread-safe.
// On a device the first call's tokens are one pass, and those that follow go
// one by one. Where it has no decoding kernels (windows of tens of thousands of
// tokens), or no memory for caches beside what a training left, every call runs
// the whole text again.
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

  // Feeds tokens and returns the likeliest next one; ties: the lowest id. On a
  // device nothing but that one token comes back. Errors as of Feed().
  absl::StatusOr<int32_t> FeedGreedy(absl::Span<const int32_t> tokens);

  void Reset();
  int64_t length() const { return length_; }
  // Positions the model was loaded for.
  int64_t max_length() const { return model_->weights().rope_cos.dim(0); }
  size_t cache_bytes() const;

 private:
  // Feeds; the logits are where it was fed: logits_, or the session's.
  absl::Status FeedAll(absl::Span<const int32_t> tokens);
  absl::Status FeedDevice(absl::Span<const int32_t> tokens);
  absl::Status FeedAgain(absl::Span<const int32_t> tokens);
  absl::Status FeedChunk(absl::Span<const int32_t> tokens, bool want_logits);
  // Borrows both, and positions_, which has as many.
  TokenBatch OneSequence(absl::Span<const int32_t> tokens,
                         const int64_t* offsets) const;
  // Tokens of the next pass, of `count` that are to be fed.
  int64_t ChunkOf(int64_t count) const;

  const Llama* model_;
  Execution exec_;
  bool lora_;
  std::vector<std::unique_ptr<AttentionCache>> caches_;  // one a layer
  std::vector<int32_t> positions_;
  std::vector<float> logits_;
  int64_t length_ = 0;

  // On a device.
  ModePlan plan_;
  std::unique_ptr<DecodingSession> session_;  // from the first call on
  bool no_session_ = false;                   // there is none to be had
  std::vector<int32_t> text_;                 // then: all that was fed
  int32_t likeliest_ = -1;  // that was read last, the session's next
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_DECODER_H_
