#include "dist/checkpoint/manifest.h"

#include <xxhash.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/io/bounded_file.h"
#include "core/io/json.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "caracal-checkpoint";
// A hundred thousand ranks fit.
constexpr size_t kMaxManifestBytes = 16 << 20;
constexpr uint64_t kMaxRanks = 100000;
constexpr size_t kReadBytes = 1 << 20;

std::string HexOf(XXH128_hash_t hash) {
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

// Reads fields of one object; errors name file and field.
class FieldReader {
 public:
  FieldReader(const Json& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  absl::Status Error(absl::string_view field, absl::string_view expected) {
    return absl::DataLossError(
        absl::StrCat(where_, ": field '", field, "': expected ", expected));
  }

  absl::StatusOr<uint64_t> Uint(const char* field, uint64_t maximum) {
    const auto found = object_.find(field);
    if (found == object_.end() || !found->is_number_unsigned() ||
        found->get<uint64_t>() > maximum) {
      return Error(field, absl::StrCat("an integer of 0 to ", maximum));
    }
    return found->get<uint64_t>();
  }

  absl::StatusOr<std::string> Text(const char* field) {
    const auto found = object_.find(field);
    if (found == object_.end() || !found->is_string()) {
      return Error(field, "a string");
    }
    return found->get<std::string>();
  }

  // "" where the field is missing.
  absl::StatusOr<std::string> OptionalText(const char* field) {
    return object_.contains(field) ? Text(field) : std::string();
  }

  absl::StatusOr<const Json*> Child(const char* field, bool array) {
    const auto found = object_.find(field);
    if (found == object_.end() ||
        !(array ? found->is_array() : found->is_object())) {
      return Error(field, array ? "a list" : "an object");
    }
    return &*found;
  }

 private:
  const Json& object_;
  const std::string where_;
};

absl::StatusOr<ParallelLayout> ParseLayout(const Json& object,
                                           const std::string& where) {
  FieldReader fields(object, where);
  ParallelLayout layout;
  ASSIGN_OR_RETURN(layout.data, fields.Uint("data", kMaxRanks));
  ASSIGN_OR_RETURN(layout.tensor, fields.Uint("tensor", kMaxRanks));
  ASSIGN_OR_RETURN(layout.layer, fields.Uint("layer", kMaxRanks));
  return layout;
}

absl::StatusOr<RankFile> ParseRankFile(const Json& object, uint64_t rank,
                                       const std::string& where) {
  if (!object.is_object()) {
    return absl::DataLossError(where + ": expected an object");
  }
  FieldReader fields(object, where);
  RankFile file;
  ASSIGN_OR_RETURN(file.name, fields.Text("name"));
  // Nothing else, so that no path leads out of the folder.
  if (file.name != RankFileName(rank)) {
    return fields.Error("name", RankFileName(rank));
  }
  ASSIGN_OR_RETURN(file.bytes, fields.Uint("bytes", uint64_t{1} << 62));
  ASSIGN_OR_RETURN(file.checksum, fields.Text("xxh3_128"));
  if (file.checksum.size() != 32 ||
      file.checksum.find_first_not_of("0123456789abcdef") !=
          std::string::npos) {
    return fields.Error("xxh3_128", "32 lower-case hex digits");
  }
  return file;
}

}  // namespace

std::string RankFileName(uint64_t rank) {
  return absl::StrFormat("rank-%05d.h5", rank);
}

std::string FormatManifest(const Manifest& manifest) {
  Json files = Json::array();
  for (const RankFile& file : manifest.rank_files) {
    files.push_back({{"name", file.name},
                     {"bytes", file.bytes},
                     {"xxh3_128", file.checksum}});
  }
  Json json = {{"format", kFormat},
               {"format_version", kCheckpointFormatVersion},
               {"step", manifest.step},
               {"layout",
                {{"data", manifest.layout.data},
                 {"tensor", manifest.layout.tensor},
                 {"layer", manifest.layout.layer}}},
               {"model_fingerprint", manifest.model_fingerprint},
               {"job_fingerprint", manifest.job_fingerprint},
               {"created_by", manifest.created_by},
               {"rank_files", std::move(files)}};
  const auto add_if_said = [&json](const char* field, const std::string& text) {
    if (!text.empty()) json[field] = text;
  };
  add_if_said("data_fingerprint", manifest.data_fingerprint);
  add_if_said("validation_fingerprint", manifest.validation_fingerprint);
  json["checksum"] = ChecksumOfFields(json);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Manifest> ParseManifest(absl::string_view text,
                                       absl::string_view path) {
  const std::string where(path);
  const absl::StatusOr<Json> parsed = ParseBoundedJson(text, kMaxManifestBytes);
  RETURN_IF_ERROR(Annotate(parsed.status(), where));
  const Json& json = *parsed;
  if (!json.is_object()) {
    return absl::DataLossError(where + ": is not a JSON object");
  }
  FieldReader fields(json, where);
  ASSIGN_OR_RETURN(const std::string format, fields.Text("format"));
  if (format != kFormat) return fields.Error("format", kFormat);
  ASSIGN_OR_RETURN(const uint64_t version,
                   fields.Uint("format_version", UINT64_MAX));
  if (version > kCheckpointFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        where, ": format version ", version,
        " is newer than this program's, which is ", kCheckpointFormatVersion));
  }
  if (version == 0) return fields.Error("format_version", "at least 1");
  ASSIGN_OR_RETURN(const std::string checksum, fields.Text("checksum"));
  if (checksum != ChecksumOfFields(json)) {
    return absl::DataLossError(absl::StrCat(
        where, ": field 'checksum': expected ", ChecksumOfFields(json),
        ", found ", checksum, ": the manifest was damaged or edited"));
  }

  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.step, fields.Uint("step", uint64_t{1} << 62));
  ASSIGN_OR_RETURN(manifest.model_fingerprint,
                   fields.Text("model_fingerprint"));
  ASSIGN_OR_RETURN(manifest.job_fingerprint, fields.Text("job_fingerprint"));
  ASSIGN_OR_RETURN(manifest.data_fingerprint,
                   fields.OptionalText("data_fingerprint"));
  ASSIGN_OR_RETURN(manifest.validation_fingerprint,
                   fields.OptionalText("validation_fingerprint"));
  ASSIGN_OR_RETURN(manifest.created_by, fields.Text("created_by"));
  ASSIGN_OR_RETURN(const Json* const layout, fields.Child("layout", false));
  ASSIGN_OR_RETURN(manifest.layout, ParseLayout(*layout, where));
  ASSIGN_OR_RETURN(const Json* const files, fields.Child("rank_files", true));
  // Each factor is at most 1e5, so the product fits.
  const uint64_t ranks =
      manifest.layout.data * manifest.layout.tensor * manifest.layout.layer;
  if (ranks == 0 || files->size() != ranks) {
    return fields.Error("rank_files",
                        absl::StrCat("as many files as the layout has ranks, ",
                                     ranks, ", found ", files->size()));
  }
  for (const Json& file : *files) {
    const uint64_t rank = manifest.rank_files.size();
    ASSIGN_OR_RETURN(
        RankFile parsed,
        ParseRankFile(file, rank,
                      absl::StrCat(where, ": rank_files[", rank, "]")));
    manifest.rank_files.push_back(std::move(parsed));
  }
  return manifest;
}

absl::StatusOr<Manifest> ReadManifest(FileSystem* file_system,
                                      const std::string& folder) {
  const std::string path = JoinPath(folder, kManifestName);
  if (!file_system->Exists(path)) {
    return absl::NotFoundError(
        path + ": is missing, so there is no complete checkpoint");
  }
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(path, kMaxManifestBytes, file_system));
  return ParseManifest(text, path);
}

std::string Checksum(absl::string_view text) {
  return HexOf(XXH3_128bits(text.data(), text.size()));
}

std::string ChecksumOfFields(Json object) {
  object.erase("checksum");
  return Checksum(object.dump(-1, ' ', false, Json::error_handler_t::replace));
}

absl::StatusOr<RankFile> DescribeRankFile(FileSystem* file_system,
                                          const std::string& folder,
                                          const std::string& name) {
  ASSIGN_OR_RETURN(const auto file, file_system->Open(JoinPath(folder, name)));
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(
      XXH3_createState(), XXH3_freeState);
  CARACAL_CHECK(state != nullptr);
  XXH3_128bits_reset(state.get());
  std::vector<char> buffer(kReadBytes);
  RankFile result;
  result.name = name;
  while (true) {
    ASSIGN_OR_RETURN(const size_t n,
                     file->ReadAt(result.bytes, buffer.size(), buffer.data()));
    XXH3_128bits_update(state.get(), buffer.data(), n);
    result.bytes += n;
    if (n < buffer.size()) break;
  }
  result.checksum = HexOf(XXH3_128bits_digest(state.get()));
  return result;
}

}  // namespace caracal
