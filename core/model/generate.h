// Greedy continuation of a prompt.
#ifndef CARACAL_CORE_MODEL_GENERATE_H_
#define CARACAL_CORE_MODEL_GENERATE_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/model/decoder.h"

namespace caracal {

enum class FinishReason : uint8_t {
  kLength,   // max_new_tokens
  kStop,     // a token of `stop` came
  kContext,  // the model's positions are used up
};
// "length", "stop", "context".
const char* NameOf(FinishReason reason);

struct Continuation {
  std::vector<int32_t> tokens;  // the new ones, without the one of `stop`
  FinishReason reason = FinishReason::kLength;
};

// Feeds the prompt and takes the likeliest token again and again: at most
// `max_new_tokens`, ending before a token of `stop` and where the model's
// context ends. `on_token` (may be empty) is called for each as it comes.
// Errors: Feed's, of the prompt.
absl::StatusOr<Continuation> GenerateGreedy(
    Decoder& decoder, absl::Span<const int32_t> prompt, int64_t max_new_tokens,
    absl::Span<const int32_t> stop,
    const std::function<void(int32_t)>& on_token);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_GENERATE_H_
