#include "eval/report/finished.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

constexpr char kHybrid[] = "hybrid";

}  // namespace

std::string FinishedMode(const AttributionSettings& settings) {
  if (!settings.finished_as.empty()) return settings.finished_as;
  return settings.recipe == "swa_control" ? "swa_only" : kHybrid;
}

bool FinishedAsHybrid(const AttributionSettings& settings) {
  return FinishedMode(settings) == kHybrid;
}

const ModeResult* FindFinished(const AttributionResult& result) {
  return result.Find(FinishedMode(result.settings));
}

std::string FinishedWords(const AttributionResult& result) {
  const ModeResult* finished = FindFinished(result);
  return absl::StrCat(
      "finished as ", FinishedMode(result.settings),
      finished == nullptr || !std::isfinite(finished->loss)
          ? ", which was not measured"
          : absl::StrCat(", with a loss of ", Fixed(finished->loss, 3),
                         " nats per token"));
}

std::string FinishedLine(const AttributionResult& result) {
  if (FinishedAsHybrid(result.settings)) return "";
  std::string words = FinishedWords(result);
  words[0] = 'F';
  return words + ", not as this hybrid";
}

std::string VerdictLabel(const AttributionSettings& settings) {
  // A control's verdict says that it is no conversion at all.
  return FinishedAsHybrid(settings) || settings.recipe == "swa_control"
             ? "Verdict: "
             : "Verdict on the same model as a hybrid: ";
}

}  // namespace caracal
