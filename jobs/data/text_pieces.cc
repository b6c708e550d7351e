#include "jobs/data/text_pieces.h"

#include "absl/strings/ascii.h"
#include "core/base/status.h"

namespace caracal {

size_t CharacterAt(absl::string_view text, size_t position) {
  while (position < text.size() && (text[position] & 0xC0) == 0x80) ++position;
  return position;
}

size_t PieceEnd(absl::string_view text) {
  constexpr size_t kLimit = kTextPieceBytes;
  if (text.size() <= kLimit) return text.size();
  for (size_t i = kLimit; i > kLimit - kTextSearchBytes; --i) {
    if (text[i] == ' ' && absl::ascii_isalpha(text[i - 1])) return i;
  }
  return CharacterAt(text, kLimit);
}

absl::Status AddInPieces(absl::string_view text, bool in_loss,
                         DocumentSink* sink) {
  do {
    const size_t end = PieceEnd(text);
    RETURN_IF_ERROR(sink->Add(text.substr(0, end), in_loss));
    text.remove_prefix(end);
  } while (!text.empty());
  return absl::OkStatus();
}

}  // namespace caracal
