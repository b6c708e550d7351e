// Plain text as documents.
#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "core/base/status.h"
#include "jobs/data/documents.h"
#include "jobs/data/line_reader.h"
#include "jobs/data/text_pieces.h"

namespace caracal {
namespace {

constexpr size_t kReadBytes = 256 << 10;

// Where the held-out part begins: the line after `from`, else a space, else a
// character.
size_t SplitPoint(absl::string_view text, size_t from) {
  const absl::string_view near = text.substr(from, kTextSearchBytes);
  const size_t line = near.find('\n');
  if (line != absl::string_view::npos) return from + line + 1;
  const size_t space = near.find(' ');
  if (space != absl::string_view::npos) return from + space;
  return CharacterAt(text, from);
}

// A file's text as it streams by.
class TextStream {
 public:
  explicit TextStream(ByteSource* source) : source_(source) {}

  // Reads on until there are `bytes` bytes, or all that is left.
  absl::Status Fill(size_t bytes) {
    while (text_.size() < bytes && !at_end_) {
      const size_t size = text_.size();
      text_.resize(size + kReadBytes);
      ASSIGN_OR_RETURN(const size_t n,
                       source_->Read(text_.data() + size, kReadBytes));
      text_.resize(size + n);
      at_end_ = n == 0;
    }
    return absl::OkStatus();
  }
  absl::string_view text() const { return text_; }
  int64_t position() const { return position_; }  // of text(), in the file

  // Hands the first `bytes` bytes of text() to `sink`, in pieces.
  absl::Status MoveTo(DocumentSink* sink, size_t bytes) {
    if (bytes > 0) {
      RETURN_IF_ERROR(AddInPieces(text().substr(0, bytes), true, sink));
    }
    text_.erase(0, bytes);
    position_ += static_cast<int64_t>(bytes);
    return absl::OkStatus();
  }

 private:
  ByteSource* source_;
  std::string text_;
  bool at_end_ = false;
  int64_t position_ = 0;
};

absl::Status ReadWholeFile(int64_t split_at, ByteSource* source,
                           DocumentSink* sink) {
  TextStream stream(source);
  bool split = split_at >= 0;  // still to come
  RETURN_IF_ERROR(sink->Begin(split ? Part::kTrain : Part::kByTurn));
  while (true) {
    RETURN_IF_ERROR(stream.Fill(kTextPieceBytes + 2 * kTextSearchBytes));
    const absl::string_view text = stream.text();
    const int64_t until_split = split_at - stream.position();
    if (split && until_split < static_cast<int64_t>(kTextPieceBytes)) {
      const auto from = static_cast<size_t>(std::max<int64_t>(until_split, 0));
      const size_t point = SplitPoint(text, std::min(from, text.size()));
      RETURN_IF_ERROR(stream.MoveTo(sink, point));
      RETURN_IF_ERROR(sink->End());
      RETURN_IF_ERROR(sink->Begin(Part::kHeldOut));
      split = false;
    } else if (text.empty()) {
      return sink->End();
    } else {
      RETURN_IF_ERROR(stream.MoveTo(sink, PieceEnd(text)));
    }
  }
}

absl::Status ReadParagraphs(const std::string& path, ByteSource* source,
                            DocumentSink* sink) {
  LineReader lines(path, source);
  std::string paragraph;
  absl::string_view line;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    if (more && !absl::StripAsciiWhitespace(line).empty()) {
      if (paragraph.size() + line.size() > LineReader::kMaxLineBytes) {
        return absl::InvalidArgumentError(absl::StrCat(
            path, ": line ", lines.line_number(), ": no blank line within ",
            LineReader::kMaxLineBytes >> 20, " MiB"));
      }
      absl::StrAppend(&paragraph, paragraph.empty() ? "" : "\n", line);
      continue;
    }
    if (!paragraph.empty()) {
      RETURN_IF_ERROR(sink->Begin(Part::kByTurn));
      RETURN_IF_ERROR(AddInPieces(paragraph, true, sink));
      RETURN_IF_ERROR(sink->End());
      paragraph.clear();
    }
    if (!more) return absl::OkStatus();
  }
}

}  // namespace

absl::Status ReadText(const std::string& path, const TextOptions& options,
                      ByteSource* source, DocumentSink* sink) {
  if (options.documents == TextDocuments::kBlankLines) {
    return ReadParagraphs(path, source, sink);
  }
  return ReadWholeFile(options.split_at, source, sink);
}

}  // namespace caracal
