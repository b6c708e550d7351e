// Line by line, with the line number in every message.
#include "eval/report/metrics.h"

#include <cstddef>
#include <map>
#include <utility>

#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

using Json = nlohmann::json;

absl::Status ReadNumber(const Json& line, const char* key, double* out) {
  const auto it = line.find(key);
  if (it == line.end() || it->is_null()) return absl::OkStatus();
  if (!it->is_number()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`", key, "` is ", it->type_name(), ", expected a number"));
  }
  *out = it->get<double>();
  return absl::OkStatus();
}

constexpr struct {
  const char* key;
  double StepMetrics::*field;
} kNumbers[] = {
    {"loss", &StepMetrics::loss},
    {"tokens_per_s", &StepMetrics::tokens_per_s},
    {"validation_loss", &StepMetrics::validation_loss},
    {"drop_probability", &StepMetrics::drop_probability},
    {"dropped_share", &StepMetrics::dropped_share},
    {"window", &StepMetrics::window},
    {"u", &StepMetrics::u},
    {"u_star", &StepMetrics::u_star},
    {"r", &StepMetrics::r},
    {"next_drop_probability", &StepMetrics::next_drop_probability},
    {"hybrid_loss", &StepMetrics::hybrid_loss},
    {"swa_only_loss", &StepMetrics::swa_only_loss},
    {"la_only_loss", &StepMetrics::la_only_loss},
    {"early_stop_score", &StepMetrics::early_stop_score},
};

absl::StatusOr<StepMetrics> ParseLine(absl::string_view text) {
  const Json line = Json::parse(text.begin(), text.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (!line.is_object()) {
    return absl::InvalidArgumentError("not a JSON object");
  }
  StepMetrics metrics;
  const auto stage = line.find("stage");
  if (stage == line.end() || !stage->is_string()) {
    return absl::InvalidArgumentError("no text `stage`");
  }
  metrics.stage = stage->get<std::string>();
  const auto step = line.find("step");
  if (step == line.end() || !step->is_number_integer()) {
    return absl::InvalidArgumentError("no whole number `step`");
  }
  metrics.step = step->get<int64_t>();
  if (!line.contains("loss")) return absl::InvalidArgumentError("no `loss`");
  metrics.loss = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [key, field] : kNumbers) {
    RETURN_IF_ERROR(ReadNumber(line, key, &(metrics.*field)));
  }
  return metrics;
}

}  // namespace

absl::StatusOr<std::vector<StepMetrics>> ParseMetrics(
    absl::string_view text, absl::string_view source) {
  std::vector<StepMetrics> all;
  std::map<std::pair<std::string, int64_t>, size_t> place;
  int64_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = text.find('\n');
    const bool last = end == absl::string_view::npos || end + 1 == text.size();
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    absl::ConsumeSuffix(&line, "\r");
    if (line.find_first_not_of(" \t") == absl::string_view::npos) continue;
    absl::StatusOr<StepMetrics> metrics = ParseLine(line);
    if (!metrics.ok()) {
      if (last) break;
      return Annotate(metrics.status(), absl::StrCat(source, ":", number));
    }
    const auto [it, is_new] =
        place.try_emplace({metrics->stage, metrics->step}, all.size());
    if (is_new) {
      all.push_back(*std::move(metrics));
    } else {
      all[it->second] = *std::move(metrics);
    }
  }
  return all;
}

absl::StatusOr<std::vector<StepMetrics>> ReadMetrics(FileSystem& files,
                                                     const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, files.ReadFile(path));
  return ParseMetrics(text, path);
}

}  // namespace caracal
