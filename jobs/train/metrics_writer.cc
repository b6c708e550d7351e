#include "jobs/train/metrics_writer.h"

#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace caracal {

using Json = nlohmann::ordered_json;

absl::Status MetricsWriter::KeepUntil(int64_t global_step) {
  if (events_ != nullptr) events_->Start(global_step);
  if (!files_->Exists(path_)) return files_->Append(path_, "");
  ASSIGN_OR_RETURN(const std::string text, files_->ReadFile(path_));
  std::string kept;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("global_step") ||
        !json["global_step"].is_number_integer()) {
      continue;
    }
    if (json["global_step"].get<int64_t>() > global_step) continue;
    kept += line + "\n";
  }
  if (kept == text) return absl::OkStatus();
  return files_->WriteFileAtomically(path_, kept);
}

std::string ToJson(const StepRecord& m) {
  Json json;
  json["stage"] = m.stage;
  json["stage_index"] = m.stage_index;
  json["step"] = m.step;
  json["global_step"] = m.global_step;
  json["loss"] = m.loss;
  json["learning_rate"] = m.learning_rate;
  json["grad_norm"] = m.grad_norm;
  json["tokens"] = m.tokens;
  json["tokens_per_s"] = m.tokens_per_s;
  if (m.curriculum.held) json["curriculum_held"] = true;
  ForEachMeasured(m,
                  [&](const char* name, double value) { json[name] = value; });
  // NaN is null.
  if (!m.la_mass.empty()) json["la_mass"] = m.la_mass;
  return json.dump();
}

absl::Status MetricsWriter::Write(const StepRecord& metrics) {
  RETURN_IF_ERROR(files_->Append(path_, ToJson(metrics) + "\n"));
  return events_ != nullptr ? events_->Write(metrics) : absl::OkStatus();
}

}  // namespace caracal
