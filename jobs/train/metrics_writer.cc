#include "jobs/train/metrics_writer.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace caracal {

using Json = nlohmann::ordered_json;

absl::Status MetricsWriter::KeepUntil(int64_t global_step) {
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
  const auto put = [&](const char* key, double value) {
    if (!std::isnan(value)) json[key] = value;
  };
  put("mse", m.parts.mse);
  put("xent", m.parts.xent);
  put("kl", m.parts.kl);
  put("lm", m.parts.lm);
  put("logit_kl", m.parts.logit_kl);
  put("drop_probability", m.curriculum.drop_probability);
  put("dropped_share", m.curriculum.dropped_share);
  put("window", m.curriculum.window);
  put("validation_loss", m.validation_loss);
  put("hybrid_loss", m.early_stop.hybrid_loss);
  put("swa_only_loss", m.early_stop.swa_only_loss);
  put("la_only_loss", m.early_stop.la_only_loss);
  put("early_stop_score", m.early_stop.score);
  put("u", m.closed_loop.use);
  put("u_star", m.closed_loop.potential);
  put("r", m.closed_loop.ratio);
  put("next_drop_probability", m.closed_loop.next_drop_probability);
  return json.dump();
}

absl::Status MetricsWriter::Write(const StepRecord& metrics) {
  return files_->Append(path_, ToJson(metrics) + "\n");
}

}  // namespace caracal
