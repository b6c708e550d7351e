// A value inside of a JSON file that knows where it stands, so that every
// error names file and field: "tokenizer.json: model.merges[3]: ...".
#ifndef CARACAL_CORE_IO_TOKENIZER_JSON_NODE_H_
#define CARACAL_CORE_IO_TOKENIZER_JSON_NODE_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

// A view: the document and the file's name outlive it. Getters return
// kInvalidArgument where a member is missing or of another type; null counts
// as missing.
class JsonNode {
 public:
  JsonNode(const nlohmann::json* value, const std::string* file,
           std::string field = "")
      : value_(value), file_(file), field_(std::move(field)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& field() const { return field_; }

  absl::Status Error(absl::string_view message) const;

  bool Has(const std::string& name) const;
  absl::StatusOr<JsonNode> Member(const std::string& name) const;
  // Those of an array member.
  absl::StatusOr<std::vector<JsonNode>> Elements(const std::string& name) const;
  absl::StatusOr<std::string> String() const;
  // An id: not negative and at most `max`.
  absl::StatusOr<int32_t> Id(int32_t max) const;

  absl::StatusOr<std::string> StringMember(const std::string& name) const;
  absl::StatusOr<bool> BoolMember(const std::string& name,
                                  bool if_missing) const;

  // A member given by its value.
  JsonNode Child(const nlohmann::json* value, const std::string& name) const;

 private:
  const nlohmann::json* value_;
  const std::string* file_;
  std::string field_;  // "" for the whole document
};

// Parses a whole file. kDataLoss with line and column when it is not JSON.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text,
                                         const std::string& file);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_TOKENIZER_JSON_NODE_H_
