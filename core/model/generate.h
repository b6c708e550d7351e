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

// Feeds the prompt and takes the likeliest token again and again: at most
// `max_new_tokens`, ending before a token of `stop`. `on_token` (may be empty)
// is called for each as it comes. Returns the new tokens. Errors: Feed's.
absl::StatusOr<std::vector<int32_t>> GenerateGreedy(
    Decoder& decoder, absl::Span<const int32_t> prompt, int64_t max_new_tokens,
    absl::Span<const int32_t> stop,
    const std::function<void(int32_t)>& on_token);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_GENERATE_H_
