#include "core/io/tokenizer/json_node.h"

#include <utility>

#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {

using Json = nlohmann::json;

absl::Status JsonNode::Error(absl::string_view message) const {
  return absl::InvalidArgumentError(
      absl::StrCat(*file_, ": ", field_, field_.empty() ? "" : ": ", message));
}

JsonNode JsonNode::Child(const Json* value, const std::string& name) const {
  return JsonNode(value, file_,
                  field_.empty() ? name : absl::StrCat(field_, ".", name));
}

bool JsonNode::Has(const std::string& name) const {
  if (!value_->is_object()) return false;
  const auto it = value_->find(name);
  return it != value_->end() && !it->is_null();
}

absl::StatusOr<JsonNode> JsonNode::Member(const std::string& name) const {
  if (!value_->is_object()) {
    return Error(absl::StrCat("an object expected, not ", value_->type_name()));
  }
  if (!Has(name)) return Error(absl::StrCat("\"", name, "\" is missing"));
  return Child(&*value_->find(name), name);
}

absl::StatusOr<std::vector<JsonNode>> JsonNode::Elements(
    const std::string& name) const {
  ASSIGN_OR_RETURN(const JsonNode array, Member(name));
  if (!array.value().is_array()) {
    return array.Error(
        absl::StrCat("an array expected, not ", array.value().type_name()));
  }
  std::vector<JsonNode> out;
  for (size_t i = 0; i < array.value().size(); ++i) {
    out.push_back(JsonNode(&array.value()[i], file_,
                           absl::StrCat(array.field(), "[", i, "]")));
  }
  return out;
}

absl::StatusOr<std::string> JsonNode::String() const {
  if (!value_->is_string()) {
    return Error(absl::StrCat("a string expected, not ", value_->type_name()));
  }
  return value_->get<std::string>();
}

absl::StatusOr<int32_t> JsonNode::Id(int32_t max) const {
  if (!value_->is_number_integer()) {
    return Error(absl::StrCat("an id expected, not ",
                              Quoted(value_->dump(-1, ' ', true))));
  }
  const bool unsigned_number = value_->is_number_unsigned();
  const auto id = value_->get<int64_t>();
  if (id < 0 || id > max ||
      (unsigned_number && value_->get<uint64_t>() > uint64_t{INT32_MAX})) {
    return Error(absl::StrCat("id ", value_->dump(), " is out of range: 0 to ",
                              max, " expected"));
  }
  return static_cast<int32_t>(id);
}

absl::StatusOr<std::string> JsonNode::StringMember(
    const std::string& name) const {
  ASSIGN_OR_RETURN(const JsonNode member, Member(name));
  return member.String();
}

absl::StatusOr<bool> JsonNode::BoolMember(const std::string& name,
                                          bool if_missing) const {
  if (!Has(name)) return if_missing;
  ASSIGN_OR_RETURN(const JsonNode member, Member(name));
  if (!member.value().is_boolean()) {
    return member.Error(absl::StrCat("true or false expected, not ",
                                     member.value().type_name()));
  }
  return member.value().get<bool>();
}

absl::StatusOr<Json> ParseJson(absl::string_view text,
                               const std::string& file) {
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ..."
    absl::string_view what = error.what();
    const size_t bracket = what.find("] ");
    if (bracket != absl::string_view::npos) what.remove_prefix(bracket + 2);
    return absl::DataLossError(
        absl::StrCat(file, ": not valid JSON: ", Quoted(what, 200)));
  }
}

}  // namespace caracal
