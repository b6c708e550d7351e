#include "jobs/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "jobs/data/pipe_source.h"

namespace caracal {
namespace {

constexpr size_t kBlockBytes = 64 << 10;
constexpr int kMaxZstdWindowLog = 27;  // 128 MiB, as `zstd --long`

constexpr size_t kMagicBytes = 4;
constexpr absl::string_view kGzipMagic = "\x1F\x8B";
constexpr absl::string_view kZstdMagic = "\x28\xB5\x2F\xFD";
constexpr absl::string_view kZstdSkippableMagicTail = "\x2A\x4D\x18";

absl::Status Damaged(const std::string& path, const char* format,
                     absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat(path, ": damaged ", format, " data: ", why));
}

// "1F 8B", for messages.
std::string HexOf(absl::string_view bytes) {
  return absl::StrJoin(bytes, " ", [](std::string* out, char byte) {
    absl::StrAppendFormat(out, "%02X", static_cast<uint8_t>(byte));
  });
}

class FileSource : public ByteSource {
 public:
  explicit FileSource(std::unique_ptr<RandomAccessFile> file)
      : file_(std::move(file)) {}

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    ASSIGN_OR_RETURN(const size_t n, file_->ReadAt(offset_, bytes, out));
    offset_ += n;
    return n;
  }
  int64_t file_bytes() const override { return static_cast<int64_t>(offset_); }

 private:
  std::unique_ptr<RandomAccessFile> file_;
  uint64_t offset_ = 0;
};

// The first bytes, which were read already to see what they are, and the rest.
class PlainSource : public ByteSource {
 public:
  PlainSource(std::string path, std::string start,
              std::unique_ptr<ByteSource> rest)
      : path_(std::move(path)),
        start_(std::move(start)),
        rest_(std::move(rest)) {}

  absl::StatusOr<size_t> Read(char* out, size_t bytes) override {
    if (given_ == start_.size()) return rest_->Read(out, bytes);
    const size_t n = start_.copy(out, bytes, given_);
    given_ += n;
    return n;
  }
  int64_t file_bytes() const override { return rest_->file_bytes(); }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const std::string start_;
  size_t given_ = 0;  // of `start_`
  std::unique_ptr<ByteSource> rest_;
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
    block_begin_ += static_cast<int64_t>(block_bytes_);
    ASSIGN_OR_RETURN(block_bytes_, file_->Read(block_.data(), block_.size()));
    return absl::string_view(block_.data(), block_bytes_);
  }
  // `left` bytes of the block are not unpacked yet, and are no `format`.
  absl::Status NotPacked(const char* format, size_t left) const {
    const size_t at = block_bytes_ - left;
    return absl::DataLossError(absl::StrCat(
        path(), ": behind the ", format, " data, at byte offset ",
        block_begin_ + static_cast<int64_t>(at), ", come bytes that are none: ",
        HexOf(absl::string_view(block_.data() + at, std::min<size_t>(left, 4))),
        left > 4 ? " ..." : ""));
  }

 private:
  std::unique_ptr<PlainSource> file_;
  std::vector<char> block_;
  size_t block_bytes_ = 0;
  int64_t block_begin_ = 0;  // in the file
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
      if (between_members_ && !first_ && *stream_.next_in != kGzipMagic[0]) {
        return NotPacked("gzip", stream_.avail_in);
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
      const size_t at = input_.pos;
      const size_t rc = ZSTD_decompressStream(context_, &output, &input_);
      if (ZSTD_isError(rc)) {
        if (between_frames_ && !first_) {
          return NotPacked("Zstandard", input_.size - at);
        }
        return Damaged(path(), "Zstandard", ZSTD_getErrorName(rc));
      }
      first_ = false;
      between_frames_ = rc == 0;
      // A full output buffer may have left some inside of the context.
      maybe_more_ = !between_frames_ && output.pos == output.size;
    }
    return output.pos;
  }

 private:
  ZSTD_DCtx* context_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool first_ = true;
  bool between_frames_ = true;
  bool maybe_more_ = false;
};

enum class Compression { kNone, kGzip, kZstandard };

Compression CompressionOf(absl::string_view start) {
  if (absl::StartsWith(start, kGzipMagic)) return Compression::kGzip;
  if (start == kZstdMagic) return Compression::kZstandard;
  // A frame to be skipped, which some programs begin with.
  if (start.size() == kMagicBytes && (start[0] & 0xF0) == 0x50 &&
      start.substr(1) == kZstdSkippableMagicTail) {
    return Compression::kZstandard;
  }
  return Compression::kNone;
}

// A name that promises a compression must keep it.
absl::Status CheckName(const std::string& path, absl::string_view start,
                       Compression found) {
  const bool gzip = absl::EndsWithIgnoreCase(path, ".gz");
  const bool zstd = absl::EndsWithIgnoreCase(path, ".zst");
  if (!gzip && !zstd) return absl::OkStatus();
  if (found == (gzip ? Compression::kGzip : Compression::kZstandard)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      path, ": its name says ", gzip ? "gzip" : "Zstandard",
      ", which begins with the bytes ", HexOf(gzip ? kGzipMagic : kZstdMagic),
      "; found ",
      start.empty()
          ? "an empty file"
          : absl::StrCat(HexOf(start), found == Compression::kGzip ? " (gzip)"
                                       : found == Compression::kZstandard
                                           ? " (Zstandard)"
                                           : ""),
      ": the file is damaged or has the wrong name"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> OpenByteSource(
    const std::string& path, FileSystem* files) {
  if (files->IsFolder(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, not a file"));
  }
  std::unique_ptr<ByteSource> raw;
  if (files == FileSystem::Posix() && IsPipe(path)) {
    ASSIGN_OR_RETURN(raw, OpenPipe(path));
  } else {
    ASSIGN_OR_RETURN(std::unique_ptr<RandomAccessFile> file, files->Open(path));
    raw = std::make_unique<FileSource>(std::move(file));
  }
  std::string start;
  while (start.size() < kMagicBytes) {
    char more[kMagicBytes];
    ASSIGN_OR_RETURN(const size_t n,
                     raw->Read(more, kMagicBytes - start.size()));
    if (n == 0) break;
    start.append(more, n);
  }
  const Compression compression = CompressionOf(start);
  RETURN_IF_ERROR(CheckName(path, start, compression));
  auto plain = std::make_unique<PlainSource>(path, start, std::move(raw));
  switch (compression) {
    case Compression::kGzip:
      return std::make_unique<GzipSource>(std::move(plain));
    case Compression::kZstandard:
      return std::make_unique<ZstdSource>(std::move(plain));
    case Compression::kNone:
      break;
  }
  return plain;
}

}  // namespace caracal
