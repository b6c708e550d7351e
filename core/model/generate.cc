#include "core/model/generate.h"

#include <algorithm>

#include "core/base/status.h"

namespace caracal {

absl::StatusOr<std::vector<int32_t>> GenerateGreedy(
    Decoder& decoder, absl::Span<const int32_t> prompt, int64_t max_new_tokens,
    absl::Span<const int32_t> stop,
    const std::function<void(int32_t)>& on_token) {
  std::vector<int32_t> out;
  RETURN_IF_ERROR(decoder.Feed(prompt).status());
  while (static_cast<int64_t>(out.size()) < max_new_tokens) {
    const int32_t next = decoder.Greedy();
    if (std::find(stop.begin(), stop.end(), next) != stop.end()) break;
    out.push_back(next);
    if (on_token) on_token(next);
    if (static_cast<int64_t>(out.size()) == max_new_tokens) break;
    RETURN_IF_ERROR(decoder.Feed({&next, 1}).status());
  }
  return out;
}

}  // namespace caracal
