// JSON of configuration files as a checked document: no exceptions, bounded
// depth and size, duplicate keys refused. Included by .cc files only.
#ifndef CARACAL_CORE_IO_JSON_H_
#define CARACAL_CORE_IO_JSON_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

inline constexpr int kMaxJsonDepth = 64;

// kDataLoss when `text` is longer than max_bytes, nested too deeply, not JSON
// (UTF-8 included), or repeats a key in an object.
absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text,
                                                size_t max_bytes);

// Typed access to an object's fields. Each function leaves *out alone when
// the field is absent or null, and fails with kInvalidArgument, naming field,
// value and expected type, when it has another type. Require() says that a
// field must be there.
class JsonFields {
 public:
  // `object` must be a JSON object and outlive this; `prefix` comes before
  // field names in messages ("rope_scaling.").
  explicit JsonFields(const nlohmann::json& object, std::string prefix = "")
      : object_(object), prefix_(std::move(prefix)) {}

  // nullptr when absent or null.
  const nlohmann::json* Find(const char* field) const;
  absl::Status Require(const char* field) const;
  absl::Status Get(const char* field, int64_t* out) const;
  absl::Status Get(const char* field, double* out) const;
  absl::Status Get(const char* field, bool* out) const;
  absl::Status Get(const char* field, std::string* out) const;
  // An error saying that `field` has the value it has and not `expected`.
  absl::Status Unexpected(const char* field, absl::string_view expected) const;

 private:
  const nlohmann::json& object_;
  const std::string prefix_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_JSON_H_
