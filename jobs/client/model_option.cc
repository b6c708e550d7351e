#include "jobs/client/model_option.h"

#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/model/feature_map_name.h"

namespace caracal {

void ModelOption::Declare(CLI::App& app) {
  app.add_option("MODEL", path, "Hugging Face folder, GGUF file or run folder")
      ->required();
  app.add_option("--student", student_file,
                 "trained tensors of a student (safetensors)");
  app.add_option("--window", window, "W, tokens of the softmax window")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  app.add_option("--sinks", sinks, "S, first tokens kept in the softmax part")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 16));
  app.add_option("--features", features, "F, columns of the feature maps")
      ->check(CLI::Range(int64_t{2}, int64_t{256}));
  app.add_option("--feature-map", feature_map, "phi")
      ->check(CLI::IsMember(FeatureMapNames()));
  app.add_flag("--half-space", half_space,
               "the first half of the feature map's outputs alone");
  app.add_flag("--affine", affine,
               "weight the linear part by 1 - gamma instead of 1");
  app.add_option("--window-kind", window_kind, "how the window moves")
      ->check(CLI::IsMember({"sliding", "terraced", "lolcats_terraced"}));
  app.add_option("--gamma-init", gamma_init,
                 "gamma of a student that is not trained (0.1)")
      ->check(CLI::Range(1e-6, 1 - 1e-6));
  app.add_option("--lora-alpha", lora_alpha,
                 "alpha of a --student's adapters (16)")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", threads, "CPU threads; 0: one a core")
      ->check(CLI::Range(0, 1024));
  DeclareDevice(app, &device);
}

CLI::Option* DeclareDevice(CLI::App& app, std::string* device) {
  return app
      .add_option("--device", *device,
                  "cpu, cuda, or auto: a GPU where there is one that runs the "
                  "model")
      ->check(CLI::IsMember({"cpu", "cuda", "auto"}))
      ->capture_default_str();
}

absl::StatusOr<LoadedModel> ModelOption::Load(Compute* compute,
                                              WeightForm form) const {
  kernels::FeatureMapKind map = kernels::FeatureMapKind::kHedgehog;
  if (!feature_map.empty() || half_space) {
    ASSIGN_OR_RETURN(
        map, FeatureMapFromName(feature_map.empty() ? "hedgehog" : feature_map,
                                half_space));
  }
  LoadRequest request;
  request.path = path;
  request.form = form;
  request.device = device;
  request.student_file = student_file;
  request.student = [this, map](StudentConfig* config) {
    if (!feature_map.empty() || half_space) {
      config->attention.feature_map = map;
    }
    if (!window_kind.empty()) {
      for (const auto kind :
           {kernels::WindowKind::kSliding, kernels::WindowKind::kTerraced,
            kernels::WindowKind::kLolcatsTerraced}) {
        if (window_kind == kernels::NameOf(kind)) {
          config->attention.window_kind = kind;
        }
      }
    }
    if (affine) config->attention.affine = true;
    if (window >= 1) config->attention.window = window;
    if (sinks >= 0) config->attention.sinks = sinks;
    if (features >= 1) config->features = features;
    if (gamma_init > 0) config->gamma_init = static_cast<float>(gamma_init);
    if (lora_alpha > 0) config->lora.alpha = static_cast<float>(lora_alpha);
  };
  return LoadModel(compute, request);
}

absl::StatusOr<std::vector<ComponentMode>> ParseModes(const std::string& text) {
  std::vector<ComponentMode> modes;
  for (const absl::string_view name :
       absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    ASSIGN_OR_RETURN(const ComponentMode mode, ComponentModeFromName(name));
    modes.push_back(mode);
  }
  return modes;
}

}  // namespace caracal
