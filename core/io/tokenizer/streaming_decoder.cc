#include "core/io/tokenizer/streaming_decoder.h"

#include <utility>

#include "absl/strings/string_view.h"
#include "core/io/tokenizer/unicode.h"

namespace caracal {

std::string StreamingDecoder::Push(int32_t id) {
  if (skip_special_ && tokenizer_->IsSpecial(id)) return "";
  const absl::string_view bytes = tokenizer_->BytesOf(id);
  pending_.append(bytes.data(), bytes.size());
  const size_t unfinished = IncompleteUtf8Suffix(pending_);
  std::string rest = pending_.substr(pending_.size() - unfinished);
  pending_.resize(pending_.size() - unfinished);
  std::string out = ReplaceInvalidUtf8(pending_);
  pending_ = std::move(rest);
  return out;
}

std::string StreamingDecoder::Finish() {
  std::string out = ReplaceInvalidUtf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace caracal
