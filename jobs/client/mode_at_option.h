// --mode-at: component modes of some layers and heads, as every command that
// runs a model has them.
#ifndef CARACAL_JOBS_CLIENT_MODE_AT_OPTION_H_
#define CARACAL_JOBS_CLIENT_MODE_AT_OPTION_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "core/model/llama.h"
#include "core/model/mode_overrides.h"

namespace caracal {

// Outlives the app it is declared on.
struct ModeAtOption {
  std::vector<std::string> texts;

  void Declare(CLI::App& app);
  // Checked against the model, around which all runs in `base`. Errors name
  // the option and its text.
  absl::StatusOr<std::vector<ModeOverride>> Overrides(const Llama& model,
                                                      ComponentMode base) const;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_MODE_AT_OPTION_H_
