#include "core/io/safetensors_index.h"

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

constexpr size_t kMaxIndexBytes = 16 << 20;

}  // namespace

absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(
    absl::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json document,
                   ParseBoundedJson(text, kMaxIndexBytes));
  const auto it =
      document.is_object() ? document.find("weight_map") : document.end();
  if (!document.is_object() || it == document.end() || !it->is_object()) {
    return absl::DataLossError("expected an object with a weight_map object");
  }
  std::map<std::string, std::string> out;
  for (const auto& [name, file] : it->items()) {
    const std::string shard = file.is_string() ? file.get<std::string>() : "";
    if (!absl::EndsWith(shard, ".safetensors") ||
        shard.find('/') != std::string::npos ||
        shard.find('\0') != std::string::npos) {
      return absl::DataLossError(absl::StrCat(
          "weight_map entry ", Quoted(name), " is ",
          Quoted(file.dump(-1, ' ', true,
                           nlohmann::json::error_handler_t::replace)),
          ", expected the name of a .safetensors file in the same folder"));
    }
    out.emplace(name, shard);
  }
  return out;
}

}  // namespace caracal
