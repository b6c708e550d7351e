// Fills a GgufFile from bytes that may be anything: one use, one file. Part
// of gguf.h; nothing else needs it.
#ifndef CARACAL_CORE_IO_GGUF_PARSER_H_
#define CARACAL_CORE_IO_GGUF_PARSER_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/io/byte_cursor.h"
#include "core/io/gguf.h"

namespace caracal {

class GgufParser {
 public:
  GgufParser(absl::Span<const uint8_t> bytes, GgufFile* file)
      : bytes_(bytes), cursor_(bytes), file_(file) {}

  // Messages say what is wrong and where, without the path.
  absl::Status Run();

 private:
  absl::Status ParseHeader();
  absl::Status ParsePair(uint64_t index);
  absl::Status ParseValue(absl::string_view key, GgufFile::Value* value);
  absl::Status SkipElements(absl::string_view key, GgufFile::Value* value);
  absl::Status ParseAlignment();
  absl::Status ParseTensor(uint64_t index);
  absl::Status PlaceTensors();
  absl::Status CheckOverlap() const;
  absl::Status Truncated(absl::string_view what) const;

  const absl::Span<const uint8_t> bytes_;
  ByteCursor cursor_;
  GgufFile* const file_;
  uint64_t tensor_count_ = 0;
  uint64_t pair_count_ = 0;
  uint64_t alignment_ = 32;  // bytes
  // Of each tensor, from the start of the data section.
  std::vector<uint64_t> offsets_;
  std::vector<uint64_t> sizes_;  // bytes
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_GGUF_PARSER_H_
