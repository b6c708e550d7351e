// The bytes of an input file from start to end, unpacked on the way: plain,
// gzip (.gz, several members too) or Zstandard (.zst, several frames too).
#ifndef CARACAL_JOBS_DATA_BYTE_SOURCE_H_
#define CARACAL_JOBS_DATA_BYTE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"

namespace caracal {

// Memory is bounded whatever the file claims: about 200 KiB, and for Zstandard
// the window, at most 128 MiB. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // The number of bytes put into `out`, `bytes` > 0 at most; 0 at the end.
  // kDataLoss: a compressed file that is cut short or damaged, or has other
  // bytes behind its end.
  virtual absl::StatusOr<size_t> Read(char* out, size_t bytes) = 0;
  // Bytes of the file itself that were taken so far: for progress.
  virtual int64_t file_bytes() const = 0;
};

// The compression is told by the first bytes. A name that ends in .gz or .zst
// must agree: kDataLoss when the file begins otherwise (an empty one, too),
// which a damaged file should not pass for text. Pipes and the like are read
// as they come. Errors name the path.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenByteSource(
    const std::string& path, FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_BYTE_SOURCE_H_
