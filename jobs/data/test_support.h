// For tests of this folder: a tokenizer of bytes, compressed bytes, sources of
// bytes, and documents as strings.
#ifndef CARACAL_JOBS_DATA_TEST_SUPPORT_H_
#define CARACAL_JOBS_DATA_TEST_SUPPORT_H_

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_matchers.h"
#include "core/io/tokenizer/byte_alphabet.h"
#include "core/io/tokenizer/tokenizer.h"
#include "jobs/data/byte_source.h"
#include "jobs/data/documents.h"

namespace caracal {

inline constexpr int32_t kTestEos = 256;  // "<eos>"
inline constexpr int32_t kTestBos = 257;  // "<bos>"

// The id of each byte is its value.
inline std::unique_ptr<Tokenizer> ByteTokenizer(bool with_bos = false) {
  TokenizerSpec spec;
  spec.source = "bytes.json";
  for (int byte = 0; byte < 256; ++byte) {
    spec.vocab.push_back(ByteAlphabetChar(static_cast<uint8_t>(byte)));
  }
  spec.added = {{.id = kTestEos, .content = "<eos>", .special = true},
                {.id = kTestBos, .content = "<bos>", .special = true}};
  spec.eos_id = kTestEos;
  if (with_bos) spec.prefix_ids = {kTestBos};
  auto tokenizer = Tokenizer::Create(std::move(spec));
  CARACAL_CHECK(tokenizer.ok()) << tokenizer.status().ToString();
  return *std::move(tokenizer);
}

inline std::string Gzip(absl::string_view text) {
  z_stream stream = {};
  CARACAL_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8,
                             Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CARACAL_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string Zstd(absl::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size =
      ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3);
  CARACAL_CHECK(!ZSTD_isError(size)) << ZSTD_getErrorName(size);
  out.resize(size);
  return out;
}

// Bytes of a string, at most 7 a read, so that borders fall everywhere.
class StringSource : public ByteSource {
 public:
  explicit StringSource(absl::string_view text, size_t step = 7)
      : left_(text), step_(step) {}
  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    const size_t n = std::min({bytes, step_, left_.size()});
    std::copy_n(left_.begin(), n, out);
    left_.remove_prefix(n);
    return n;
  }
  int64_t file_bytes() const override { return 0; }

 private:
  absl::string_view left_;
  size_t step_;
};

// A pipe with these bytes in it, at most 64 KiB, and nobody to write more.
class FilledPipe {
 public:
  explicit FilledPipe(absl::string_view bytes) {
    int ends[2];
    CARACAL_CHECK(pipe(ends) == 0);
    CARACAL_CHECK(bytes.size() <= 65536 &&
                  write(ends[1], bytes.data(), bytes.size()) ==
                      static_cast<ssize_t>(bytes.size()));
    close(ends[1]);
    end_ = ends[0];
  }
  ~FilledPipe() { close(end_); }
  std::string path() const { return absl::StrCat("/proc/self/fd/", end_); }

 private:
  int end_;
};

// Collects documents as "part|(text)[prompt]...": pieces in the loss in round
// brackets, others in square ones. Pieces of one kind are joined.
class RecordingSink : public DocumentSink {
 public:
  absl::Status Begin(Part part) override {
    const char* const names[] = {"turn|", "train|", "held|"};
    documents.push_back(names[static_cast<int>(part)]);
    return absl::OkStatus();
  }
  absl::Status Add(absl::string_view text, bool in_loss) override {
    std::string& document = documents.back();
    const char close = in_loss ? ')' : ']';
    if (document.back() == close && joinable_) {
      document.pop_back();
    } else {
      document += in_loss ? '(' : '[';
    }
    document.append(text.data(), text.size());
    document += close;
    joinable_ = true;
    largest_piece = std::max(largest_piece, text.size());
    ++pieces;
    return absl::OkStatus();
  }
  absl::Status End() override {
    joinable_ = false;
    ++ended;
    return absl::OkStatus();
  }

  std::vector<std::string> documents;
  size_t largest_piece = 0;
  int pieces = 0;
  int ended = 0;

 private:
  bool joinable_ = false;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_TEST_SUPPORT_H_
