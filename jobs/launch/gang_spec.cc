#include "jobs/launch/gang_spec.h"

#include <climits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = 4 << 20;

absl::Status GetPositive(const JsonFields& fields, const char* name, int* out) {
  RETURN_IF_ERROR(fields.Require(name));
  int64_t value = 0;
  RETURN_IF_ERROR(fields.Get(name, &value));
  if (value < 1 || value > INT_MAX) {
    return fields.Unexpected(name, "a positive integer");
  }
  *out = static_cast<int>(value);
  return absl::OkStatus();
}

absl::Status GetStrings(const JsonFields& fields, const char* name,
                        std::vector<std::string>* out) {
  const nlohmann::json& list = *fields.Find(name);
  bool good = list.is_array();
  if (good) {
    for (const nlohmann::json& item : list) {
      good = good && item.is_string();
      if (good) out->push_back(item.get<std::string>());
    }
  }
  return good ? absl::OkStatus() : fields.Unexpected(name, "a list of strings");
}

}  // namespace

std::string ToString(const GangId& id) {
  return absl::StrCat(id.job, "-", id.epoch);
}

std::optional<GangId> GangIdFromString(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('-', 1));
  GangId id;
  if (!absl::SimpleAtoi(parts.first, &id.job) ||
      !absl::SimpleAtoi(parts.second, &id.epoch) || ToString(id) != text) {
    return std::nullopt;
  }
  return id;
}

std::string GangSpecToJson(const GangSpec& spec) {
  // Bytes that are no UTF-8, as file names may have, would not come back.
  return Json{{"job", spec.id.job},
              {"epoch", spec.id.epoch},
              {"program", spec.program},
              {"arguments", spec.arguments},
              {"afterwards", spec.afterwards},
              {"working_directory", spec.working_directory},
              {"ranks", spec.ranks},
              {"threads", spec.threads},
              {"cluster_options", spec.cluster_options}}
             .dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

absl::StatusOr<GangSpec> GangSpecFromJson(absl::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json json,
                   ParseBoundedJson(text, kMaxBytes));
  if (!json.is_object()) {
    return absl::InvalidArgumentError("a gang's spec is one JSON object");
  }
  const JsonFields fields(json);
  GangSpec spec;
  int64_t job = 0, epoch = 0;
  RETURN_IF_ERROR(fields.Get("job", &job));
  RETURN_IF_ERROR(fields.Get("epoch", &epoch));
  spec.id = {static_cast<JobId>(job), static_cast<uint64_t>(epoch)};
  RETURN_IF_ERROR(fields.Get("program", &spec.program));
  RETURN_IF_ERROR(fields.Get("working_directory", &spec.working_directory));
  RETURN_IF_ERROR(GetPositive(fields, "ranks", &spec.ranks));
  RETURN_IF_ERROR(GetPositive(fields, "threads", &spec.threads));
  RETURN_IF_ERROR(fields.Require("arguments"));
  RETURN_IF_ERROR(GetStrings(fields, "arguments", &spec.arguments));
  if (fields.Find("afterwards") != nullptr) {
    RETURN_IF_ERROR(GetStrings(fields, "afterwards", &spec.afterwards));
  }
  if (fields.Find("cluster_options") != nullptr) {
    RETURN_IF_ERROR(
        GetStrings(fields, "cluster_options", &spec.cluster_options));
  }
  return spec;
}

}  // namespace caracal
