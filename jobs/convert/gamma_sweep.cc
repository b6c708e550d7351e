#include "jobs/convert/gamma_sweep.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/status.h"

namespace caracal {

using Json = nlohmann::ordered_json;

void SetGamma(double gamma, Adapters* adapters) {
  const float factor = static_cast<float>(std::log(gamma / (1 - gamma)));
  for (const Parameter& p : adapters->parameters().parameters()) {
    if (p.group != ParameterGroup::kWindowFactor) continue;
    for (int64_t i = 0; i < p.value.size(); ++i) p.value.f32()[i] = factor;
  }
}

absl::StatusOr<GammaSweep> SweepGamma(const std::vector<double>& gammas,
                                      ComponentMode mode, HeldOutProbe& probe,
                                      Adapters* adapters) {
  GammaSweep sweep;
  double best = std::numeric_limits<double>::infinity();
  for (const double gamma : std::set<double>(gammas.begin(), gammas.end())) {
    RETURN_IF_ERROR(adapters->parameters().UseOnHost());
    SetGamma(gamma, adapters);
    ASSIGN_OR_RETURN(const double loss, probe.Loss(mode, /*past_only=*/false));
    sweep.points.push_back({gamma, loss});
    if (loss < best) {
      best = loss;
      sweep.chosen = gamma;
    }
  }
  RETURN_IF_ERROR(adapters->parameters().UseOnHost());
  SetGamma(sweep.chosen, adapters);
  return sweep;
}

std::string GammaSweepToJson(const GammaSweep& sweep) {
  Json json;
  json["chosen"] = sweep.chosen;
  json["points"] = Json::array();
  for (const GammaSweep::Point& point : sweep.points) {
    json["points"].push_back({{"gamma", point.gamma}, {"loss", point.loss}});
  }
  return json.dump(1) + "\n";
}

absl::StatusOr<GammaSweep> GammaSweepFromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto number = [](const Json& node, const char* key, double* out) {
    if (!node.is_object() || !node.contains(key) || !node[key].is_number()) {
      return false;
    }
    *out = node[key].get<double>();
    return true;
  };
  GammaSweep sweep;
  if (!number(json, "chosen", &sweep.chosen) || !json.contains("points") ||
      !json["points"].is_array()) {
    return absl::DataLossError("gamma sweep: expected 'chosen' and 'points'");
  }
  for (const Json& node : json["points"]) {
    GammaSweep::Point point{};
    if (!number(node, "gamma", &point.gamma) ||
        !number(node, "loss", &point.loss)) {
      return absl::DataLossError(
          "gamma sweep: a point without 'gamma' and 'loss'");
    }
    sweep.points.push_back(point);
  }
  return sweep;
}

}  // namespace caracal
