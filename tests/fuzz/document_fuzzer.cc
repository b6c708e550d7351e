// Feeds arbitrary bytes to what reads the inputs of data pack: decompression,
// UTF-8, JSON lines and plain text.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/base/fault_file_system.h"
#include "core/io/tokenizer/unicode.h"
#include "jobs/data/byte_source.h"
#include "jobs/data/documents.h"
#include "jobs/data/text_source.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr char kPath[] = "/fuzz";
// Compressed bytes may stand for gigabytes of zeros.
constexpr size_t kMaxTextBytes = 8 << 20;

// Checks the order of the calls, and that all text is valid.
class CheckingSink : public DocumentSink {
 public:
  absl::Status Begin(Part) override {
    CARACAL_CHECK(!open_);
    open_ = true;
    return absl::OkStatus();
  }
  absl::Status Add(absl::string_view text, bool) override {
    CARACAL_CHECK(open_);
    CARACAL_CHECK_EQ(ValidUtf8Prefix(text), text.size());
    bytes_ += text.size();
    return bytes_ > kMaxTextBytes ? absl::CancelledError(kPath)
                                  : absl::OkStatus();
  }
  absl::Status End() override {
    CARACAL_CHECK(open_);
    open_ = false;
    return absl::OkStatus();
  }
  bool open() const { return open_; }

 private:
  bool open_ = false;
  size_t bytes_ = 0;
};

template <typename Reader>
void ReadBy(FileSystem* files, const Reader& reader) {
  const auto bytes = OpenByteSource(kPath, files);
  CARACAL_CHECK(bytes.ok());
  TextSource source(kPath, bytes->get());
  CheckingSink sink;
  const absl::Status status = reader(&source, &sink);
  CARACAL_CHECK(status.ok()
                    ? !sink.open()
                    : status.message().find(kPath) != absl::string_view::npos)
      << status.ToString();
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace caracal;  // NOLINT: the whole file is a test of it
  FaultFileSystem files;
  CARACAL_CHECK(
      files.Append(kPath, {reinterpret_cast<const char*>(data), size}).ok());
  ReadBy(&files, [](TextSource* source, DocumentSink* sink) {
    int64_t replaced = 0;
    return ReadJsonLines(kPath, source, sink, &replaced);
  });
  for (const TextOptions& options :
       {TextOptions{TextDocuments::kBlankLines, -1},
        TextOptions{TextDocuments::kWholeFile, -1},
        TextOptions{TextDocuments::kWholeFile,
                    static_cast<int64_t>(size / 2)}}) {
    ReadBy(&files, [&](TextSource* source, DocumentSink* sink) {
      return ReadText(kPath, options, source, sink);
    });
  }
  return 0;
}
