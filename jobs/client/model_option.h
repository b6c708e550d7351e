// MODEL and the student's settings, as every command that runs a model has
// them.
#ifndef CARACAL_JOBS_CLIENT_MODEL_OPTION_H_
#define CARACAL_JOBS_CLIENT_MODEL_OPTION_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "jobs/model/loaded_model.h"

namespace caracal {

// Outlives the app it is declared on. Fields below 0 were not given.
struct ModelOption {
  std::string path;
  std::string student_file;
  int64_t window = -1;
  int64_t sinks = -1;
  int64_t features = -1;
  std::string window_kind;
  std::string feature_map;
  bool half_space = false;
  bool affine = false;
  double gamma_init = -1;
  double lora_alpha = -1;
  int threads = 0;

  std::string device = "auto";

  void Declare(CLI::App& app);
  // As LoadModel().
  absl::StatusOr<LoadedModel> Load(Compute* compute, WeightForm form) const;
};

// --device, for programs that run models.
CLI::Option* DeclareDevice(CLI::App& app, std::string* device);

// "a,b,c" of a --modes option. Empty text: no modes.
absl::StatusOr<std::vector<ComponentMode>> ParseModes(const std::string& text);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_MODEL_OPTION_H_
