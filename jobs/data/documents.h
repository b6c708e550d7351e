// Input files as streams of documents: JSON lines and plain text.
#ifndef CARACAL_JOBS_DATA_DOCUMENTS_H_
#define CARACAL_JOBS_DATA_DOCUMENTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "jobs/data/byte_source.h"

namespace caracal {

enum class InputFormat {
  // .jsonl .ndjson; .txt .text .md .raw; each also .gz and .zst. Names without
  // an ending of their own (book.gz, /dev/stdin): by content.
  kByName,
  kByContent,  // JSON lines where the text begins with an object, else text
  kJsonLines,  // one object a line
  kText,
};

enum class TextDocuments {
  kWholeFile,   // a text file is one document
  kBlankLines,  // blank lines divide it into documents; lines end with LF
};

// Which output a document goes to.
enum class Part {
  kByTurn,   // whoever takes it decides
  kTrain,    // the first part of a text file that is split
  kHeldOut,  // its last part
};

// Takes documents. An error of any call ends the reading with it.
class DocumentSink {
 public:
  virtual ~DocumentSink() = default;
  virtual absl::Status Begin(Part part) = 0;
  // More text of the document, whose tokens are targets of the loss or not.
  // Each call's text is encoded by itself.
  virtual absl::Status Add(absl::string_view text, bool in_loss) = 0;
  virtual absl::Status End() = 0;
};

// The format a file name stands for; kByContent where it doesn't say.
// kInvalidArgument: an ending that stands for another format.
absl::StatusOr<InputFormat> FormatOfName(const std::string& path);

// kJsonLines or kText, by the beginning of a file.
InputFormat FormatOfContent(absl::string_view start);

// The `source` of what follows gives valid UTF-8 (jobs/data/text_source.h).

// JSON lines: objects with `instruction` and `output` (and perhaps `input`),
// whose prompt is not in the loss, or with `text`. Blank lines are left out.
// Errors name path and line. Here as below long texts are given out in pieces
// (jobs/data/text_pieces.h) whose tokens are those of the whole. Surrogates
// that stand alone become U+FFFD and are added to *replaced.
absl::Status ReadJsonLines(const std::string& path, ByteSource* source,
                           DocumentSink* sink, int64_t* replaced);

// Plain text.
//
// With kWholeFile and 0 <= split_at, in bytes, the file is two documents:
// kTrain up to the first line break at or after that, kHeldOut from there on.
struct TextOptions {
  TextDocuments documents = TextDocuments::kWholeFile;
  int64_t split_at = -1;
};
absl::Status ReadText(const std::string& path, const TextOptions& options,
                      ByteSource* source, DocumentSink* sink);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_DOCUMENTS_H_
