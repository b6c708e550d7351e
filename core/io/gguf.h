// A GGUF file (versions 2 and 3, little endian): typed metadata and a table
// of tensors. Format: the GGUF specification of ggml.
//
// The file is memory-mapped; strings and tensor data are views into it and
// live as long as the GgufFile. Opening checks everything that later accesses
// rely on: all lengths lie inside the file, names are unique and UTF-8, tensor
// data is aligned, in range and without overlap. Memory used is bounded by a
// small multiple of the header's size in the file.
//
// Errors name the file and the key or tensor: kDataLoss for a malformed file,
// kUnimplemented for a version or tensor type this program can't read,
// kNotFound for an absent key, kInvalidArgument for a key of another type.
// A GgufFile never changes after Open: thread-safe.
#ifndef CARACAL_CORE_IO_GGUF_H_
#define CARACAL_CORE_IO_GGUF_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "kernels/quant/encoding.h"

namespace caracal {

// Types of metadata values, with their ids in the file.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// "u32", "string", "array", ...
const char* NameOf(GgufType type);

struct GgufTensor {
  absl::string_view name;
  // Outermost dimension first, as in Hugging Face files (GGUF writes the
  // reverse): a weight matrix is [outputs, inputs].
  std::vector<int64_t> shape;
  Encoding encoding = Encoding::kF32;
  absl::Span<const uint8_t> data;
};

class GgufFile {
 public:
  // `files` defaults to the real file system.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(
      const std::string& path, FileSystem* files = FileSystem::Posix());
  // Parses bytes that outlive the result; `path` is for messages only.
  static absl::StatusOr<std::unique_ptr<GgufFile>> Parse(
      absl::Span<const uint8_t> bytes, const std::string& path);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }

  bool Has(absl::string_view key) const { return values_.contains(key); }
  // Keys in the order of the file.
  absl::Span<const absl::string_view> keys() const { return keys_; }

  absl::StatusOr<absl::string_view> GetString(absl::string_view key) const;
  // Any integer type; a u64 beyond int64 is refused.
  absl::StatusOr<int64_t> GetInt(absl::string_view key) const;
  // f32 or f64.
  absl::StatusOr<double> GetFloat(absl::string_view key) const;
  absl::StatusOr<bool> GetBool(absl::string_view key) const;
  absl::StatusOr<std::vector<absl::string_view>> GetStringArray(
      absl::string_view key) const;
  absl::StatusOr<std::vector<int64_t>> GetIntArray(absl::string_view key) const;
  // f32 or f64 elements.
  absl::StatusOr<std::vector<float>> GetFloatArray(absl::string_view key) const;
  absl::StatusOr<std::vector<bool>> GetBoolArray(absl::string_view key) const;

  // In the order of the file.
  absl::Span<const GgufTensor> tensors() const { return tensors_; }
  // nullptr where there is none of that name.
  const GgufTensor* FindTensor(absl::string_view name) const;

 private:
  friend class GgufParser;

  // A value as it lies in the file. For an array `type` is that of its
  // elements; strings keep their length prefixes.
  struct Value {
    GgufType type;
    bool is_array;
    uint64_t count;  // elements; 1 for a scalar
    absl::string_view bytes;
  };

  GgufFile() = default;
  absl::StatusOr<const Value*> Find(absl::string_view key, bool is_array,
                                    const char* wanted) const;
  absl::Status WrongType(absl::string_view key, const Value& value,
                         const char* wanted) const;

  std::string path_;
  uint32_t version_ = 0;
  std::unique_ptr<MappedFile> file_;  // null after Parse
  std::vector<absl::string_view> keys_;
  absl::flat_hash_map<absl::string_view, Value> values_;
  std::vector<GgufTensor> tensors_;
  absl::flat_hash_map<absl::string_view, int64_t> tensor_index_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_GGUF_H_
