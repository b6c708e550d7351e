// The single answers are what is read back; the figures follow from them.
#include "eval/attribution/probe_json.h"

#include <utility>

#include "core/base/status.h"

namespace caracal::json_reader {
namespace {

Json FiguresToJson(const ProbeResult& probe, const ProbeMode& mode,
                   ProbeFacts facts) {
  return {{"among", ToJson(ShareAmong(probe, &mode, facts))},
          {"exact", ToJson(ShareExact(probe, &mode, facts))},
          {"nats", ToJson(MeanNats(probe, &mode, facts))}};
}

absl::Status ReadMode(const Node& node, size_t answers, ProbeMode* out) {
  RETURN_IF_ERROR(ReadField(node, "among", &out->among));
  RETURN_IF_ERROR(ReadField(node, "exact", &out->exact));
  RETURN_IF_ERROR(ReadField(node, "nats", &out->nats));
  for (const size_t size :
       {out->among.size(), out->exact.size(), out->nats.size()}) {
    if (size == answers) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(node.path, ": found ", size, " answers, expected ",
                     answers, " as in `outside`"));
  }
  return absl::OkStatus();
}

absl::Status CheckZerosAndOnes(const Node& node, absl::string_view key,
                               const std::vector<int64_t>& values) {
  for (const int64_t value : values) {
    if (value == 0 || value == 1) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        node.path, ".", key, ": found ", value, ", expected 0 or 1"));
  }
  return absl::OkStatus();
}

}  // namespace

Json ToJson(const ProbeResult& probe) {
  Json json = {{"probe", probe.probe},     {"length", probe.length},
               {"samples", probe.samples}, {"digest", probe.digest},
               {"chance", probe.chance},   {"reach", probe.reach()},
               {"depth", probe.depth},     {"outside", probe.outside}};
  json["modes"] = Json::object();
  for (const ProbeMode& mode : probe.modes) {
    Json& entry = json["modes"][mode.mode];
    for (const auto& [name, facts] :
         {std::pair("facts_outside", ProbeFacts::kOutside),
          std::pair("facts_inside", ProbeFacts::kInside)}) {
      entry[name] = FiguresToJson(probe, mode, facts);
    }
    entry["among"] = mode.among;
    entry["exact"] = mode.exact;
    entry["nats"] = mode.nats;
  }
  return json;
}

absl::Status Read(const Node& node, ProbeResult* out) {
  RETURN_IF_ERROR(ReadField(node, "probe", &out->probe));
  RETURN_IF_ERROR(ReadField(node, "length", &out->length));
  RETURN_IF_ERROR(ReadField(node, "samples", &out->samples));
  RETURN_IF_ERROR(ReadField(node, "digest", &out->digest));
  RETURN_IF_ERROR(ReadField(node, "chance", &out->chance));
  RETURN_IF_ERROR(ReadField(node, "depth", &out->depth));
  RETURN_IF_ERROR(ReadField(node, "outside", &out->outside));
  RETURN_IF_ERROR(CheckZerosAndOnes(node, "outside", out->outside));
  const size_t answers = out->outside.size();
  if (out->depth.size() != answers || out->samples < 1 ||
      answers % static_cast<size_t>(out->samples) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(node.path, ": found ", answers, " answers in `outside`, ",
                     out->depth.size(), " in `depth` and ", out->samples,
                     " samples; expected as many answers of every sample"));
  }
  const auto modes = node.json->find("modes");
  if (modes == node.json->end()) return absl::OkStatus();
  const Node all{&*modes, absl::StrCat(node.path, ".modes")};
  if (!all.json->is_object()) return all.Wrong("an object");
  for (const auto& [key, value] : all.json->items()) {
    const Node entry{&value, absl::StrCat(all.path, ".", key)};
    ProbeMode mode;
    mode.mode = key;
    RETURN_IF_ERROR(ReadMode(entry, answers, &mode));
    RETURN_IF_ERROR(CheckZerosAndOnes(entry, "among", mode.among));
    RETURN_IF_ERROR(CheckZerosAndOnes(entry, "exact", mode.exact));
    out->modes.push_back(std::move(mode));
  }
  return absl::OkStatus();
}

}  // namespace caracal::json_reader
