#include "jobs/client/mode_at_option.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {

void ModeAtOption::Declare(CLI::App& app) {
  // One value each, so that what comes after it isn't taken for another.
  app.add_option("--mode-at", texts,
                 "another component mode for some layers or heads, counted "
                 "from 0, as in layers=0-3,7:la_only or heads=1:none or "
                 "layers=5:heads=0,2:swa_only; repeatable, later ones win")
      ->type_name("WHERE:MODE")
      ->allow_extra_args(false);
}

absl::StatusOr<std::vector<ModeOverride>> ModeAtOption::Overrides(
    const Llama& model, ComponentMode base) const {
  std::vector<ModeOverride> overrides;
  for (const std::string& text : texts) {
    absl::StatusOr<ModeOverride> at = ParseModeOverride(text);
    if (!at.ok()) {
      return Annotate(at.status(), absl::StrCat("--mode-at ", text));
    }
    overrides.push_back(*std::move(at));
  }
  const absl::Status status =
      CheckModeOverrides(overrides, base, model.adapters().config(),
                         model.layers(), model.heads());
  if (!status.ok()) return Annotate(status, "--mode-at");
  return overrides;
}

}  // namespace caracal
