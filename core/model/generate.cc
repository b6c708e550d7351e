#include "core/model/generate.h"

#include <algorithm>

#include "core/base/status.h"

namespace caracal {

const char* NameOf(FinishReason reason) {
  switch (reason) {
    case FinishReason::kLength:
      return "length";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kContext:
      return "context";
  }
  return "";
}

absl::StatusOr<Continuation> GenerateGreedy(
    Decoder& decoder, absl::Span<const int32_t> prompt, int64_t max_new_tokens,
    absl::Span<const int32_t> stop,
    const std::function<void(int32_t)>& on_token) {
  Continuation out;
  ASSIGN_OR_RETURN(int32_t next, decoder.FeedGreedy(prompt));
  while (static_cast<int64_t>(out.tokens.size()) < max_new_tokens) {
    if (std::find(stop.begin(), stop.end(), next) != stop.end()) {
      out.reason = FinishReason::kStop;
      break;
    }
    out.tokens.push_back(next);
    if (on_token) on_token(next);
    if (static_cast<int64_t>(out.tokens.size()) == max_new_tokens) break;
    if (decoder.length() == decoder.max_length()) {
      out.reason = FinishReason::kContext;
      break;
    }
    ASSIGN_OR_RETURN(next, decoder.FeedGreedy({&next, 1}));
  }
  return out;
}

}  // namespace caracal
