// Inside of the tokenizer.json reader: how a part ({"type": ...}) is read by
// the row of a table that its type names. The next kind is a row and a
// function.
#ifndef CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_PARTS_H_
#define CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_PARTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/io/tokenizer/json_node.h"
#include "core/io/tokenizer/tokenizer_spec.h"

namespace caracal::tokenizer_json {

// What the readers of parts fill.
struct Builder {
  TokenizerSpec spec;
  bool byte_level = false;          // the pre-tokenizer has its ByteLevel
  bool byte_level_decoder = false;  // and the decoder
  bool post_template = false;       // there was a TemplateProcessing
  int32_t max_id = 0;               // ids above are refused
};

// One row of a table of parts: its "type" and what reads it.
struct Kind {
  const char* name;
  absl::Status (*read)(const JsonNode& part, int depth, Builder* builder);
};

// kUnimplemented at a part, naming file and field.
absl::Status Unsupported(const JsonNode& part, absl::string_view message);

// Reads a part by the row of its type; kUnimplemented where there is none.
absl::Status ReadPart(absl::Span<const Kind> kinds, const JsonNode& part,
                      int depth, Builder* builder);

// Reads each element of the array `name` of a sequence.
absl::Status ReadSequence(absl::Span<const Kind> kinds, const JsonNode& part,
                          const std::string& name, int depth, Builder* builder);

// One table each.
absl::Status ReadNormalizer(const JsonNode& part, Builder* builder);
absl::Status ReadPreTokenizer(const JsonNode& part, Builder* builder);
absl::Status ReadModel(const JsonNode& part, Builder* builder);
absl::Status ReadPostProcessor(const JsonNode& part, Builder* builder);
absl::Status ReadDecoder(const JsonNode& part, Builder* builder);

}  // namespace caracal::tokenizer_json

#endif  // CARACAL_CORE_IO_TOKENIZER_TOKENIZER_JSON_PARTS_H_
