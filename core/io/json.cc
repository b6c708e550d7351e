#include "core/io/json.h"

#include <set>
#include <vector>

#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

// Looked at before parsing, so that the parser never sees a deeper document.
bool TooDeep(absl::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<Json> ParseBoundedJson(absl::string_view text,
                                      size_t max_bytes) {
  if (text.size() > max_bytes) {
    return absl::DataLossError(absl::StrCat(
        "file has ", text.size(), " bytes, expected at most ", max_bytes));
  }
  if (TooDeep(text)) {
    return absl::DataLossError(
        absl::StrCat("JSON is nested deeper than ", kMaxJsonDepth, " levels"));
  }
  std::vector<std::set<std::string>> keys;  // of the open objects
  std::string repeated;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second && repeated.empty()) repeated = key;
    }
    return true;
  };
  Json document = Json::parse(text.begin(), text.end(), watch,
                              /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::DataLossError("not valid JSON (truncated or damaged?)");
  }
  if (!repeated.empty()) {
    return absl::DataLossError(
        absl::StrCat("JSON key ", Quoted(repeated), " appears twice"));
  }
  return document;
}

const Json* JsonFields::Find(const char* field) const {
  const auto it = object_.find(field);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

absl::Status JsonFields::Require(const char* field) const {
  if (Find(field) != nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("field ", prefix_, field, " is missing"));
}

absl::Status JsonFields::Unexpected(const char* field,
                                    absl::string_view expected) const {
  const Json* value = Find(field);
  const std::string text =
      value == nullptr
          ? "null"
          : value->dump(-1, ' ', true, Json::error_handler_t::replace);
  return absl::InvalidArgumentError(
      absl::StrCat(prefix_, field, " is ", text.substr(0, 80),
                   text.size() > 80 ? "..." : "", ", expected ", expected));
}

absl::Status JsonFields::Get(const char* field, int64_t* out) const {
  const Json* value = Find(field);
  if (value == nullptr) return absl::OkStatus();
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<uint64_t>() <= uint64_t{INT64_MAX});
  if (!fits) return Unexpected(field, "an integer");
  *out = value->get<int64_t>();
  return absl::OkStatus();
}

absl::Status JsonFields::Get(const char* field, double* out) const {
  const Json* value = Find(field);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_number()) return Unexpected(field, "a number");
  *out = value->get<double>();
  return absl::OkStatus();
}

absl::Status JsonFields::Get(const char* field, bool* out) const {
  const Json* value = Find(field);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_boolean()) return Unexpected(field, "true or false");
  *out = value->get<bool>();
  return absl::OkStatus();
}

absl::Status JsonFields::Get(const char* field, std::string* out) const {
  const Json* value = Find(field);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_string()) return Unexpected(field, "a string");
  *out = value->get<std::string>();
  return absl::OkStatus();
}

}  // namespace caracal
