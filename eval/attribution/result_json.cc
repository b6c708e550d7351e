// Writing goes field by field; reading goes through a few typed getters that
// know the path of the key they are at.
#include "eval/attribution/result_json.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "eval/attribution/json_reader.h"
#include "eval/attribution/probe_json.h"

namespace caracal {
// Here, and not without a name, so that json_reader.h's templates find Read().
namespace json_reader {

static Json ToJson(const AttributionSettings& settings) {
  return {{"model", settings.model},
          {"data", settings.data},
          {"window", settings.window},
          {"sinks", settings.sinks},
          {"window_kind", settings.window_kind},
          {"feature_map", settings.feature_map},
          {"features", settings.features},
          {"rows", settings.rows},
          {"tokens_per_row", settings.tokens_per_row},
          {"layers", settings.layers},
          {"heads", settings.heads},
          {"recipe", settings.recipe},
          {"rows_digest", settings.rows_digest},
          {"seed", settings.seed},
          {"job_digest", settings.job_digest},
          {"finished_as", settings.finished_as}};
}

static Json ToJson(const ModeResult& mode) {
  Json json = {{"loss", mode.loss},
               {"per_row", mode.per_row},
               {"second_half", mode.second_half},
               {"interval", ToJson(mode.interval)}};
  if (!mode.row_tokens.empty()) json["row_tokens"] = mode.row_tokens;
  return json;
}

static Json ToJson(const PositionMasses& masses) {
  return {{"begin", masses.begin},
          {"end", masses.end},
          {"la_mass", masses.la_mass},
          {"la_output_share", masses.la_output_share},
          {"teacher_out_mass", masses.teacher_out_mass},
          {"sink_mass", masses.sink_mass},
          {"teacher_sink_mass", masses.teacher_sink_mass}};
}

static Json ToJson(const LinearAblation& ablation) {
  Json json = {{"layer", ablation.layer}};
  if (ablation.head >= 0) json["head"] = ablation.head;
  json["cost"] = ToJson(ablation.cost);
  return json;
}

static Json ModesToJson(const AttributionResult& result) {
  Json modes = Json::object();
  const AttentionMasses& masses = result.masses;
  const std::pair<const char*, HeadGrid> grids[] = {
      {"la_mass", masses.la_mass},
      {"la_output_share", masses.la_output_share},
      {"teacher_out_mass", masses.teacher_out_mass},
      {"la_gap", masses.LaGap()},
      {"sink_mass", masses.sink_mass},
      {"teacher_sink_mass", masses.teacher_sink_mass}};
  for (const ModeResult& mode : result.modes) {
    Json& json = modes[mode.mode] = ToJson(mode);
    if (mode.mode != "hybrid" || masses.empty()) continue;
    for (const auto& [name, grid] : grids) {
      if (!grid.empty()) json[name] = GridMean(grid);
    }
  }
  if (!masses.empty()) {
    for (const auto& [name, grid] : grids) {
      if (!grid.empty()) modes["masses"][name] = grid;
    }
  }
  return modes;
}

static absl::Status Read(const Node& node, AttributionSettings* out) {
  RETURN_IF_ERROR(ReadField(node, "model", &out->model));
  RETURN_IF_ERROR(ReadField(node, "data", &out->data));
  RETURN_IF_ERROR(ReadField(node, "window", &out->window));
  RETURN_IF_ERROR(ReadField(node, "sinks", &out->sinks));
  RETURN_IF_ERROR(ReadField(node, "window_kind", &out->window_kind));
  RETURN_IF_ERROR(ReadField(node, "feature_map", &out->feature_map));
  RETURN_IF_ERROR(ReadField(node, "features", &out->features));
  RETURN_IF_ERROR(ReadField(node, "rows", &out->rows));
  RETURN_IF_ERROR(ReadField(node, "tokens_per_row", &out->tokens_per_row));
  RETURN_IF_ERROR(ReadField(node, "layers", &out->layers));
  RETURN_IF_ERROR(ReadField(node, "heads", &out->heads));
  RETURN_IF_ERROR(ReadField(node, "recipe", &out->recipe));
  RETURN_IF_ERROR(ReadField(node, "rows_digest", &out->rows_digest));
  RETURN_IF_ERROR(ReadField(node, "seed", &out->seed));
  RETURN_IF_ERROR(ReadField(node, "job_digest", &out->job_digest));
  return ReadField(node, "finished_as", &out->finished_as);
}

static absl::Status Read(const Node& node, ModeResult* out) {
  RETURN_IF_ERROR(ReadField(node, "loss", &out->loss));
  RETURN_IF_ERROR(ReadField(node, "per_row", &out->per_row));
  RETURN_IF_ERROR(ReadField(node, "second_half", &out->second_half));
  RETURN_IF_ERROR(ReadField(node, "row_tokens", &out->row_tokens));
  return ReadField(node, "interval", &out->interval);
}

static absl::Status Read(const Node& node, PositionMasses* out) {
  RETURN_IF_ERROR(ReadField(node, "begin", &out->begin));
  RETURN_IF_ERROR(ReadField(node, "end", &out->end));
  RETURN_IF_ERROR(ReadField(node, "la_mass", &out->la_mass));
  RETURN_IF_ERROR(ReadField(node, "la_output_share", &out->la_output_share));
  RETURN_IF_ERROR(ReadField(node, "teacher_out_mass", &out->teacher_out_mass));
  RETURN_IF_ERROR(ReadField(node, "sink_mass", &out->sink_mass));
  return ReadField(node, "teacher_sink_mass", &out->teacher_sink_mass);
}

static absl::Status Read(const Node& node, LinearAblation* out) {
  RETURN_IF_ERROR(ReadField(node, "layer", &out->layer));
  RETURN_IF_ERROR(ReadField(node, "head", &out->head));
  return ReadField(node, "cost", &out->cost);
}

// Every grid must have the layers and heads of `like`.
static absl::Status CheckShape(const Node& node, const char* key,
                               const HeadGrid& grid, const HeadGrid& like) {
  bool same = grid.size() == like.size();
  for (size_t i = 0; same && i < grid.size(); ++i) {
    same = grid[i].size() == like[0].size();
  }
  if (same) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      node.path, ".", key, ": found rows of other lengths than la_mass has, ",
      "expected the same [layers][heads]"));
}

static absl::Status Read(const Node& node, AttentionMasses* out) {
  const std::pair<const char*, HeadGrid*> grids[] = {
      {"la_mass", &out->la_mass},
      {"la_output_share", &out->la_output_share},
      {"teacher_out_mass", &out->teacher_out_mass},
      {"sink_mass", &out->sink_mass},
      {"teacher_sink_mass", &out->teacher_sink_mass}};
  for (const auto& [name, grid] : grids) {
    RETURN_IF_ERROR(ReadField(node, name, grid));
  }
  for (const auto& [name, grid] : grids) {
    // Files of earlier versions don't have the masses on sink positions.
    const bool later =
        grid == &out->sink_mass || grid == &out->teacher_sink_mass;
    if (later && grid->empty()) continue;
    RETURN_IF_ERROR(CheckShape(node, name, *grid, out->la_mass));
  }
  return absl::OkStatus();
}

static ModeResult* NameMode(ModeResult& entry, const std::string& key) {
  entry.mode = key;
  return &entry;
}

static Interval* NameDrop(ComponentDrop& entry, const std::string& key) {
  entry.component = key;
  return &entry.drop;
}

static Interval* NameValue(ComponentValue& entry, const std::string& key) {
  entry.component = key;
  return &entry.value;
}

static absl::StatusOr<AttributionResult> ReadResult(const Node& root) {
  if (!root.json->is_object()) return root.Wrong("an object");
  AttributionResult result;
  RETURN_IF_ERROR(ReadField(root, "settings", &result.settings));
  if (!root.json->contains("modes")) {
    return absl::InvalidArgumentError(
        absl::StrCat(root.path,
                     ": no key `modes`; expected the result of an "
                     "attribution run"));
  }
  const Node modes{&(*root.json)["modes"], absl::StrCat(root.path, ".modes")};
  RETURN_IF_ERROR(ReadEntries(modes, "masses", NameMode, &result.modes));
  RETURN_IF_ERROR(ReadField(modes, "masses", &result.masses));
  if (const auto it = root.json->find("baselines"); it != root.json->end()) {
    RETURN_IF_ERROR(
        ReadEntries(Node{&*it, absl::StrCat(root.path, ".baselines")}, "",
                    NameMode, &result.baselines));
  }
  if (const auto it = root.json->find("drop"); it != root.json->end()) {
    RETURN_IF_ERROR(ReadEntries(Node{&*it, absl::StrCat(root.path, ".drop")},
                                "", NameDrop, &result.drop));
  }
  RETURN_IF_ERROR(ReadField(root, "by_position", &result.by_position));
  RETURN_IF_ERROR(ReadField(root, "gamma", &result.gamma));
  RETURN_IF_ERROR(ReadField(root, "ablation", &result.ablation));
  RETURN_IF_ERROR(ReadField(root, "reach", &result.reach));
  RETURN_IF_ERROR(ReadField(root, "what_la_brings", &result.what_la_brings));
  RETURN_IF_ERROR(ReadField(root, "ustar", &result.ustar));
  RETURN_IF_ERROR(
      ReadField(root, "what_attention_brings", &result.what_attention_brings));
  if (const auto it = root.json->find("shapley"); it != root.json->end()) {
    RETURN_IF_ERROR(ReadEntries(Node{&*it, absl::StrCat(root.path, ".shapley")},
                                "", NameValue, &result.shapley));
  }
  RETURN_IF_ERROR(ReadField(root, "probes", &result.probes));
  return result;
}

static std::string Write(const AttributionResult& result) {
  Json json;
  json["settings"] = ToJson(result.settings);
  json["modes"] = ModesToJson(result);
  json["baselines"] = Json::object();
  for (const ModeResult& mode : result.baselines) {
    json["baselines"][mode.mode] = ToJson(mode);
  }
  json["by_position"] = Json::array();
  for (const PositionMasses& masses : result.by_position) {
    json["by_position"].push_back(ToJson(masses));
  }
  json["gamma"] = result.gamma;
  json["ablation"] = Json::array();
  for (const LinearAblation& ablation : result.ablation) {
    json["ablation"].push_back(ToJson(ablation));
  }
  json["reach"] = result.reach;
  json["drop"] = Json::object();
  for (const ComponentDrop& drop : result.drop) {
    json["drop"][drop.component] = ToJson(drop.drop);
  }
  json["what_la_brings"] = ToJson(result.what_la_brings);
  json["ustar"] = ToJson(result.ustar);
  json["what_attention_brings"] = ToJson(result.what_attention_brings);
  json["shapley"] = Json::object();
  for (const ComponentValue& part : result.shapley) {
    json["shapley"][part.component] = ToJson(part.value);
  }
  for (const ProbeResult& probe : result.probes) {
    json["probes"].push_back(ToJson(probe));
  }
  return json.dump(1, ' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace) +
         "\n";
}

}  // namespace json_reader

std::string AttributionToJson(const AttributionResult& result) {
  return json_reader::Write(result);
}

absl::StatusOr<AttributionResult> AttributionFromJson(
    absl::string_view json, absl::string_view source) {
  using json_reader::Json;
  const Json root = Json::parse(json.begin(), json.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (root.is_discarded()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, ": not JSON, or cut short"));
  }
  return json_reader::ReadResult({&root, std::string(source)});
}

}  // namespace caracal
