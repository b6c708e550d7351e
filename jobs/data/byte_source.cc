#include "jobs/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr int kMaxZstdWindowLog = 27;  // 128 MiB, as `zstd --long`

absl::Status Damaged(const std::string& path, const char* format,
                     absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat(path, ": damaged ", format, " data: ", why));
}

class PlainSource : public ByteSource {
 public:
  PlainSource(std::string path, std::unique_ptr<RandomAccessFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    ASSIGN_OR_RETURN(const size_t n, file_->ReadAt(offset_, bytes, out));
    offset_ += n;
    return n;
  }
  int64_t file_bytes() const override { return static_cast<int64_t>(offset_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<RandomAccessFile> file_;
  uint64_t offset_ = 0;
};

// What both decompressors share: a block of compressed bytes.
class CompressedSource : public ByteSource {
 public:
  explicit CompressedSource(std::unique_ptr<PlainSource> file)
      : file_(std::move(file)), block_(kBlockBytes) {}
  int64_t file_bytes() const override { return file_->file_bytes(); }

 protected:
  const std::string& path() const { return file_->path(); }
  // The next block; empty at the end of the file.
  absl::StatusOr<absl::string_view> NextBlock() {
    ASSIGN_OR_RETURN(const size_t n, file_->Read(block_.data(), block_.size()));
    return absl::string_view(block_.data(), n);
  }

 private:
  std::unique_ptr<PlainSource> file_;
  std::vector<char> block_;
};

class GzipSource : public CompressedSource {
 public:
  explicit GzipSource(std::unique_ptr<PlainSource> file)
      : CompressedSource(std::move(file)) {
    constexpr int kGzipOnly = 16;
    CARACAL_CHECK(inflateInit2(&stream_, kGzipOnly + MAX_WBITS) == Z_OK);
  }
  ~GzipSource() override { inflateEnd(&stream_); }

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(std::min(bytes, kBlockBytes));
    const uInt wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (stream_.avail_in == 0) {
        ASSIGN_OR_RETURN(const absl::string_view block, NextBlock());
        if (block.empty()) {
          if (between_members_) return 0;
          return Damaged(path(), "gzip", "the file ends in the middle");
        }
        stream_.next_in =
            reinterpret_cast<Bytef*>(const_cast<char*>(block.data()));
        stream_.avail_in = static_cast<uInt>(block.size());
      }
      if (between_members_ && !first_ && *stream_.next_in == 0) {
        // Padding behind the last member.
        ++stream_.next_in;
        --stream_.avail_in;
        continue;
      }
      const int rc = inflate(&stream_, Z_NO_FLUSH);
      first_ = false;
      between_members_ = rc == Z_STREAM_END;
      if (rc == Z_STREAM_END) {
        CARACAL_CHECK(inflateReset(&stream_) == Z_OK);
      } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return Damaged(path(), "gzip",
                       stream_.msg != nullptr ? stream_.msg : "unknown error");
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  z_stream stream_ = {};
  bool first_ = true;
  bool between_members_ = true;  // nothing of a member is pending
};

class ZstdSource : public CompressedSource {
 public:
  explicit ZstdSource(std::unique_ptr<PlainSource> file)
      : CompressedSource(std::move(file)), context_(ZSTD_createDCtx()) {
    CARACAL_CHECK(context_ != nullptr) << "out of memory";
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  ~ZstdSource() override { ZSTD_freeDCtx(context_); }

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    ZSTD_outBuffer output = {out, bytes, 0};
    while (output.pos == 0) {
      if (input_.pos == input_.size && !maybe_more_) {
        ASSIGN_OR_RETURN(const absl::string_view block, NextBlock());
        if (block.empty()) {
          if (between_frames_) return 0;
          return Damaged(path(), "Zstandard", "the file ends in the middle");
        }
        input_ = {block.data(), block.size(), 0};
      }
      const size_t rc = ZSTD_decompressStream(context_, &output, &input_);
      if (ZSTD_isError(rc)) {
        return Damaged(path(), "Zstandard", ZSTD_getErrorName(rc));
      }
      between_frames_ = rc == 0;
      // A full output buffer may have left some inside of the context.
      maybe_more_ = !between_frames_ && output.pos == output.size;
    }
    return output.pos;
  }

 private:
  ZSTD_DCtx* context_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool between_frames_ = true;
  bool maybe_more_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenByteSource(
    const std::string& path, FileSystem* files) {
  if (files->IsFolder(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, not a file"));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, files->Open(path));
  char magic[4] = {};
  ASSIGN_OR_RETURN(const size_t n, file->ReadAt(0, sizeof(magic), magic));
  const absl::string_view start(magic, n);
  auto plain = std::make_unique<PlainSource>(path, std::move(file));
  if (absl::StartsWith(start, "\x1F\x8B")) {
    return std::make_unique<GzipSource>(std::move(plain));
  }
  if (start == "\x28\xB5\x2F\xFD") {
    return std::make_unique<ZstdSource>(std::move(plain));
  }
  return plain;
}

}  // namespace caracal
