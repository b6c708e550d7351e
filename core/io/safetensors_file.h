// A safetensors file: named tensors behind a JSON header. Format: that of the
// safetensors library (u64 header length, JSON, then the data without holes).
#ifndef CARACAL_CORE_IO_SAFETENSORS_FILE_H_
#define CARACAL_CORE_IO_SAFETENSORS_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "kernels/quant/encoding.h"

namespace caracal {

struct SafetensorsTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost dimension first; may be empty
  Encoding encoding = Encoding::kF32;
  absl::Span<const uint8_t> data;
};

// Memory-mapped; tensor data are views that live as long as the file object.
// Never changes after Open: thread-safe. Memory used is bounded by a small
// multiple of the header's length, which the format limits to 100 MB.
class SafetensorsFile {
 public:
  // Messages begin with the path. kDataLoss: the file is malformed (header
  // beyond the file, not the JSON expected, offsets that overlap, leave holes
  // or leave the file, sizes that do not match shape and type, names twice).
  // kUnimplemented: an element type other than F32, F16 and BF16.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(
      const std::string& path, FileSystem* files = FileSystem::Posix());
  // Parses bytes that outlive the result; `path` is for messages only.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Parse(
      absl::Span<const uint8_t> bytes, const std::string& path);

  const std::string& path() const { return path_; }
  // In the order of the data.
  absl::Span<const SafetensorsTensor> tensors() const { return tensors_; }
  // `__metadata__` of the header.
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }

 private:
  SafetensorsFile() = default;

  std::string path_;
  std::unique_ptr<MappedFile> file_;  // null after Parse
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_SAFETENSORS_FILE_H_
