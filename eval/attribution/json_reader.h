// Typed getters over parsed JSON that know the path of the key they are at, so
// that a message names it. For the files of attributions.
#ifndef CARACAL_EVAL_ATTRIBUTION_JSON_READER_H_
#define CARACAL_EVAL_ATTRIBUTION_JSON_READER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "eval/statistics/interval.h"
#include "nlohmann/json.hpp"

// Read() of a struct is declared in this namespace too, so that the templates
// find it. Errors are kInvalidArgument: the path, what was found and what was
// expected.
namespace caracal::json_reader {

using Json = nlohmann::ordered_json;

// A value and the path that led to it, for messages.
struct Node {
  const Json* json;
  std::string path;

  absl::Status Wrong(absl::string_view expected) const {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": found ", json->type_name(), ", expected ", expected));
  }
  Node Item(size_t i) const {
    return {&(*json)[i], absl::StrCat(path, "[", i, "]")};
  }
};

inline absl::Status Read(const Node& node, double* out) {
  if (node.json->is_null()) {
    *out = std::numeric_limits<double>::quiet_NaN();
    return absl::OkStatus();
  }
  if (!node.json->is_number()) return node.Wrong("a number or null");
  *out = node.json->get<double>();
  return absl::OkStatus();
}

inline absl::Status Read(const Node& node, int64_t* out) {
  if (!node.json->is_number_integer()) return node.Wrong("a whole number");
  *out = node.json->get<int64_t>();
  return absl::OkStatus();
}

inline absl::Status Read(const Node& node, std::string* out) {
  if (!node.json->is_string()) return node.Wrong("a text");
  *out = node.json->get<std::string>();
  return absl::OkStatus();
}

// Leaves *out as it is when the key is not there.
template <typename T>
absl::Status ReadField(const Node& node, const char* key, T* out) {
  if (!node.json->is_object()) return node.Wrong("an object");
  const auto it = node.json->find(key);
  if (it == node.json->end()) return absl::OkStatus();
  return Read(Node{&*it, absl::StrCat(node.path, ".", key)}, out);
}

inline absl::Status Read(const Node& node, Interval* out) {
  RETURN_IF_ERROR(ReadField(node, "mean", &out->mean));
  RETURN_IF_ERROR(ReadField(node, "low", &out->low));
  return ReadField(node, "high", &out->high);
}

template <typename T>
absl::Status Read(const Node& node, std::vector<T>* out) {
  if (!node.json->is_array()) return node.Wrong("an array");
  out->assign(node.json->size(), T());
  for (size_t i = 0; i < out->size(); ++i) {
    RETURN_IF_ERROR(Read(node.Item(i), &(*out)[i]));
  }
  return absl::OkStatus();
}

// The entries of an object in file order, `except` one key.
template <typename T, typename Set>
absl::Status ReadEntries(const Node& node, absl::string_view except, Set set,
                         std::vector<T>* out) {
  if (!node.json->is_object()) return node.Wrong("an object");
  for (const auto& [key, value] : node.json->items()) {
    if (key == except) continue;
    T entry;
    RETURN_IF_ERROR(
        Read(Node{&value, absl::StrCat(node.path, ".", key)}, set(entry, key)));
    out->push_back(std::move(entry));
  }
  return absl::OkStatus();
}

// NaN and infinities become null.
inline Json ToJson(const Interval& interval) {
  return {
      {"mean", interval.mean}, {"low", interval.low}, {"high", interval.high}};
}

}  // namespace caracal::json_reader

#endif  // CARACAL_EVAL_ATTRIBUTION_JSON_READER_H_
