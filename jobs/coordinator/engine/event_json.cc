#include "jobs/coordinator/engine/event_json.h"

#include <nlohmann/json.hpp>

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string ToJson(const JobTransition& t) {
  Json json = {{"state", NameOf(t.to)}, {"because", NameOf(t.cause)}};
  if (!t.reason.empty()) json["reason"] = t.reason;
  return Dump(json);
}

std::string ToJson(const JobTuned& t) {
  Json json = Json::object();
  if (const auto& p = t.tuning.drop_probability) json["drop_probability"] = *p;
  if (const auto& w = t.tuning.window) json["window"] = *w;
  json["by"] = t.tuning.by;
  return Dump(json);
}

std::string ToJson(const JobGang& g) {
  return Dump({{"gang", g.epoch}, {"hosts", g.hosts}});
}

std::string ToJson(const CurriculumDecision& d) {
  const CurriculumWindow& window = d.window;
  const bool tuned =
      d.tuning.drop_probability.has_value() || d.tuning.window.has_value();
  Json json = {{"stage", d.stage_name},
               {"stage_index", d.stage},
               {"first_step", window.first_step + 1},
               {"steps", window.directives.size()},
               {"because", tuned                         ? "tuned"
                           : window.decision.has_value() ? "closed loop"
                                                         : "schedule"}};
  if (tuned) json["by"] = d.tuning.by;
  if (window.decision.has_value()) {
    json["u"] = window.decision->use;
    json["u_star"] = window.decision->potential;
    if (!window.decision->held) json["r"] = window.decision->ratio;
  }
  Json values = Json::array();
  for (size_t i = 0; i < window.directives.size(); ++i) {
    const Directive& directive = window.directives[i];
    if (i > 0 && directive == window.directives[i - 1]) continue;
    Json value = {{"step", window.first_step + 1 + static_cast<int64_t>(i)},
                  {"drop_probability", directive.drop_probability}};
    if (directive.window > 0) value["window"] = directive.window;
    values.push_back(std::move(value));
  }
  json["values"] = std::move(values);
  return Dump(json);
}

}  // namespace caracal
