// One line of JSON lines: the fields that a document is made of.
#ifndef CARACAL_JOBS_DATA_JSON_RECORD_H_
#define CARACAL_JOBS_DATA_JSON_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

struct JsonField {
  const char* type = nullptr;  // "string", "number", ...; nullptr: not there
  std::string text;            // of a string
};

struct JsonRecord {
  const char* type = "";  // of the value as a whole: "object", ...
  JsonField text, instruction, input, output;
  std::vector<std::string> names;  // of the first fields, at most 8
  // Halves of surrogate pairs that stood alone, as other programs write them
  // (\\ud800); each became U+FFFD.
  int64_t lone_surrogates = 0;
};

// Values that are not asked for are checked and forgotten, so that memory is
// bounded by the line whatever is in it. Of a name that comes twice the last
// one counts. kInvalidArgument: not JSON, in words that can stand behind file
// and line.
absl::StatusOr<JsonRecord> ParseJsonRecord(absl::string_view line);

}  // namespace caracal

#endif  // CARACAL_JOBS_DATA_JSON_RECORD_H_
