#include "tests/model/tall_model.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/safetensors_builder.h"
#include "tests/model/golden.h"

namespace caracal::golden {

absl::Status WriteTallModel(const std::string& folder, int layers) {
  using Json = nlohmann::ordered_json;
  const std::string from = ModelFolder("tiny_gqa");
  FileSystem* files = FileSystem::Posix();
  RETURN_IF_ERROR(files->CreateFolder(folder));
  ASSIGN_OR_RETURN(const std::string text,
                   files->ReadFile(JoinPath(from, "config.json")));
  Json config = Json::parse(text);
  const int own = config["num_hidden_layers"];
  config["num_hidden_layers"] = layers;
  RETURN_IF_ERROR(files->WriteFileAtomically(JoinPath(folder, "config.json"),
                                             config.dump(1)));

  ASSIGN_OR_RETURN(const GoldenTensors tensors,
                   ReadGoldenTensors(JoinPath(from, "model.safetensors")));
  Json header;
  std::string data;
  const auto add = [&](const std::string& name, const GoldenTensor& tensor,
                       float scale) {
    std::vector<float> values = tensor.values;
    for (float& value : values) value *= scale;
    const size_t bytes = values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(reinterpret_cast<const char*>(values.data()), bytes);
  };
  for (const auto& [name, tensor] : tensors) {
    if (!absl::StartsWith(name, "model.layers.")) add(name, tensor, 1);
  }
  for (int i = 0; i < layers; ++i) {
    const std::string old = absl::StrCat("model.layers.", i % own, ".");
    for (const auto& [name, tensor] : tensors) {
      if (!absl::StartsWith(name, old)) continue;
      add(absl::StrCat("model.layers.", i, ".", absl::StripPrefix(name, old)),
          tensor, 1 + 0.05f * static_cast<float>(i));
    }
  }
  return files->WriteFileAtomically(JoinPath(folder, "model.safetensors"),
                                    MakeSafetensors(header.dump(), data));
}

}  // namespace caracal::golden
