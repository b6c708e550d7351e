// Plain text as documents.
#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "core/base/status.h"
#include "jobs/data/documents.h"
#include "jobs/data/line_reader.h"
#include "jobs/data/text_check.h"

namespace caracal {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kPieceBytes = 1 << 20;
// How far a good place to cut is looked for.
constexpr size_t kSearchBytes = 64 << 10;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

// `position`, or a little later, where a character begins.
size_t CharacterAt(absl::string_view text, size_t position) {
  while (position < text.size() && (text[position] & 0xC0) == 0x80) ++position;
  return position;
}

// Where a piece of `text` of about `limit` bytes may end without changing its
// tokens: before a space that follows a letter. In text without such a place
// nearby, between any two characters.
size_t PieceEnd(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return text.size();
  for (size_t i = limit; i + kSearchBytes > limit && i > 0; --i) {
    if (text[i] == ' ' && absl::ascii_isalpha(text[i - 1])) return i;
  }
  return CharacterAt(text, limit);
}

// Where the held-out part begins: the line after `from`, else a space, else a
// character.
size_t SplitPoint(absl::string_view text, size_t from) {
  const absl::string_view near = text.substr(from, kSearchBytes);
  const size_t line = near.find('\n');
  if (line != absl::string_view::npos) return from + line + 1;
  const size_t space = near.find(' ');
  if (space != absl::string_view::npos) return from + space;
  return CharacterAt(text, from);
}

// A file's text as it streams by: checked, without byte order mark.
class TextStream {
 public:
  TextStream(const std::string& path, ByteSource* source)
      : source_(source), check_(path) {}

  // Reads on until there are `bytes` bytes, or all that is left.
  absl::Status Fill(size_t bytes) {
    while (text_.size() < bytes && !at_end_) {
      const size_t size = text_.size();
      text_.resize(size + kReadBytes);
      ASSIGN_OR_RETURN(const size_t n,
                       source_->Read(text_.data() + size, kReadBytes));
      text_.resize(size + n);
      at_end_ = n == 0;
      RETURN_IF_ERROR(check_.Add(absl::string_view(text_).substr(size)));
    }
    if (position_ == 0 && absl::StartsWith(text_, kByteOrderMark)) {
      Drop(kByteOrderMark.size());
    }
    return absl::OkStatus();
  }
  absl::string_view text() const { return text_; }
  int64_t position() const { return position_; }  // of text(), in the file

  // Hands the first `bytes` bytes of text() to `sink`, in pieces.
  absl::Status MoveTo(DocumentSink* sink, size_t bytes) {
    absl::string_view left = text().substr(0, bytes);
    while (!left.empty()) {
      const size_t end = PieceEnd(left, kPieceBytes);
      RETURN_IF_ERROR(sink->Add(left.substr(0, end), true));
      left.remove_prefix(end);
    }
    Drop(bytes);
    return absl::OkStatus();
  }

 private:
  void Drop(size_t bytes) {
    text_.erase(0, bytes);
    position_ += static_cast<int64_t>(bytes);
  }

  ByteSource* source_;
  TextCheck check_;
  std::string text_;
  bool at_end_ = false;
  int64_t position_ = 0;
};

absl::Status ReadWholeFile(const std::string& path, int64_t split_at,
                           ByteSource* source, DocumentSink* sink) {
  TextStream stream(path, source);
  bool split = split_at >= 0;  // still to come
  RETURN_IF_ERROR(sink->Begin(split ? Part::kTrain : Part::kByTurn));
  while (true) {
    RETURN_IF_ERROR(stream.Fill(kPieceBytes + 2 * kSearchBytes));
    const absl::string_view text = stream.text();
    const int64_t until_split = split_at - stream.position();
    if (split && until_split < static_cast<int64_t>(kPieceBytes)) {
      const auto from = static_cast<size_t>(std::max<int64_t>(until_split, 0));
      const size_t point = SplitPoint(text, std::min(from, text.size()));
      RETURN_IF_ERROR(stream.MoveTo(sink, point));
      RETURN_IF_ERROR(sink->End());
      RETURN_IF_ERROR(sink->Begin(Part::kHeldOut));
      split = false;
    } else if (text.empty()) {
      return sink->End();
    } else {
      RETURN_IF_ERROR(stream.MoveTo(sink, PieceEnd(text, kPieceBytes)));
    }
  }
}

absl::Status ReadParagraphs(const std::string& path, ByteSource* source,
                            DocumentSink* sink) {
  LineReader lines(path, source);
  TextCheck check(path);
  std::string paragraph;
  absl::string_view line;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, lines.Next(&line));
    if (more) {
      RETURN_IF_ERROR(check.Add(line));
      RETURN_IF_ERROR(check.Add("\n"));
    }
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
      RETURN_IF_ERROR(sink->Add(paragraph, true));
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
  return ReadWholeFile(path, options.split_at, source, sink);
}

}  // namespace caracal
