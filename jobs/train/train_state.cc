#include "jobs/train/train_state.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity: it is left out.
void PutDouble(Json& json, const char* key, double value) {
  if (std::isfinite(value)) json[key] = value;
}

absl::Status Get(const Json& json, const char* key, int64_t* out) {
  if (!json.contains(key) || !json[key].is_number_integer()) {
    return absl::DataLossError(
        absl::StrCat("training state: '", key, "' is missing or no integer"));
  }
  *out = json[key].get<int64_t>();
  if (*out < 0) {
    return absl::DataLossError(
        absl::StrCat("training state: '", key, "' is negative"));
  }
  return absl::OkStatus();
}

absl::Status GetDouble(const Json& json, const char* key, double* out) {
  *out = std::numeric_limits<double>::infinity();
  if (!json.contains(key)) return absl::OkStatus();
  if (!json[key].is_number()) {
    return absl::DataLossError(
        absl::StrCat("training state: '", key, "' is no number"));
  }
  *out = json[key].get<double>();
  return absl::OkStatus();
}

}  // namespace

std::string TrainStateToJson(const TrainState& state) {
  Json json;
  json["stage_index"] = state.stage_index;
  json["step"] = state.step;
  json["global_step"] = state.global_step;
  json["next_sample"] = state.next_sample;
  json["optimizer_steps"] = state.optimizer_steps;
  PutDouble(json, "plateau_factor", state.plateau.factor);
  PutDouble(json, "plateau_best", state.plateau.best);
  json["plateau_bad_validations"] = state.plateau.bad_validations;
  PutDouble(json, "best_validation", state.best_validation);
  json["best_step"] = state.best_step;
  PutDouble(json, "early_stop_best_score", state.early_stop.best_score);
  PutDouble(json, "early_stop_best_use", state.early_stop.best_use);
  PutDouble(json, "early_stop_last_use", state.early_stop.last_use);
  json["early_stop_bad_validations"] = state.early_stop.bad_validations;
  json["drop_probability"] = state.closed_loop.drop_probability;
  if (state.closed_loop.has_ratio) {
    json["smoothed_use_ratio"] = state.closed_loop.smoothed_ratio;
  }
  PutDouble(json, "probe_teacher", state.probe_teacher);
  PutDouble(json, "probe_teacher_swa", state.probe_teacher_swa);
  return json.dump();
}

absl::StatusOr<TrainState> TrainStateFromJson(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return absl::DataLossError("training state: not a JSON object");
  }
  TrainState state;
  RETURN_IF_ERROR(Get(json, "stage_index", &state.stage_index));
  RETURN_IF_ERROR(Get(json, "step", &state.step));
  RETURN_IF_ERROR(Get(json, "global_step", &state.global_step));
  RETURN_IF_ERROR(Get(json, "next_sample", &state.next_sample));
  RETURN_IF_ERROR(Get(json, "optimizer_steps", &state.optimizer_steps));
  RETURN_IF_ERROR(
      Get(json, "plateau_bad_validations", &state.plateau.bad_validations));
  RETURN_IF_ERROR(GetDouble(json, "plateau_factor", &state.plateau.factor));
  RETURN_IF_ERROR(GetDouble(json, "plateau_best", &state.plateau.best));
  RETURN_IF_ERROR(GetDouble(json, "best_validation", &state.best_validation));
  EarlyStopState& early = state.early_stop;
  RETURN_IF_ERROR(Get(json, "best_step", &state.best_step));
  RETURN_IF_ERROR(
      Get(json, "early_stop_bad_validations", &early.bad_validations));
  RETURN_IF_ERROR(GetDouble(json, "early_stop_best_score", &early.best_score));
  // Left out: no validation yet, nothing to have fallen from.
  for (const auto& [key, value] :
       {std::pair("early_stop_best_use", &early.best_use),
        std::pair("early_stop_last_use", &early.last_use)}) {
    RETURN_IF_ERROR(GetDouble(json, key, value));
    if (std::isinf(*value)) *value = -*value;
  }
  ClosedLoopState& loop = state.closed_loop;
  RETURN_IF_ERROR(GetDouble(json, "drop_probability", &loop.drop_probability));
  RETURN_IF_ERROR(GetDouble(json, "smoothed_use_ratio", &loop.smoothed_ratio));
  loop.has_ratio = std::isfinite(loop.smoothed_ratio);
  if (!loop.has_ratio) loop.smoothed_ratio = 0;
  RETURN_IF_ERROR(GetDouble(json, "probe_teacher", &state.probe_teacher));
  RETURN_IF_ERROR(
      GetDouble(json, "probe_teacher_swa", &state.probe_teacher_swa));
  if (!std::isfinite(loop.drop_probability)) {
    return absl::DataLossError("training state: 'drop_probability' is missing");
  }
  if (!std::isfinite(state.plateau.factor)) {
    return absl::DataLossError("training state: 'plateau_factor' is missing");
  }
  return state;
}

}  // namespace caracal
