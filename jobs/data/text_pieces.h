// Long texts in pieces that are encoded one by one.
#ifndef CARACAL_JOBS_DATA_TEXT_PIECES_H_
#define CARACAL_JOBS_DATA_TEXT_PIECES_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "jobs/data/documents.h"

namespace caracal {

inline constexpr size_t kTextPieceBytes = 1 << 20;
// How far a good place to cut is looked for.
inline constexpr size_t kTextSearchBytes = 64 << 10;

// `position`, or a little later, where a character begins.
size_t CharacterAt(absl::string_view text, size_t position);

// Where the first piece of `text` ends: after all of it where that is not more
// than kTextPieceBytes, else before a space that follows a letter, where the
// patterns of the known tokenizers always have the border of a word. In text
// without such a place nearby, between any two characters.
size_t PieceEnd(absl::string_view text);

// Hands `text`, a part of a document, to `sink` in pieces: what one text may
// cost while it is encoded is bounded.
absl::Status AddInPieces(absl::string_view text, bool in_loss,
                         DocumentSink* sink);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_TEXT_PIECES_H_
