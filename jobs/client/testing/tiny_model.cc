#include "jobs/client/testing/tiny_model.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hf_config.h"
#include "core/io/model_tensors.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

constexpr char kConfig[] = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
  "rms_norm_eps": 1e-5, "max_position_embeddings": 128, "vocab_size": 32,
  "tie_word_embeddings": true, "hidden_act": "silu", "rope_theta": 10000.0,
  "bos_token_id": 1, "eos_token_id": 2
})";

// The eight bytes of a little-endian number.
std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

absl::Status WriteTinyModel(const std::string& folder) {
  ASSIGN_OR_RETURN(const ModelConfig config, ParseHfConfig(kConfig));
  nlohmann::ordered_json header;
  uint64_t bytes = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    const uint64_t begin = bytes;
    uint64_t size = 4;
    for (const int64_t n : tensor.shape) size *= n;
    bytes += size;
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, bytes}}};
  }
  const std::string text = header.dump();
  FileSystem* files = FileSystem::Posix();
  RETURN_IF_ERROR(files->CreateFolder(folder));
  RETURN_IF_ERROR(
      files->WriteFileAtomically(JoinPath(folder, "config.json"), kConfig));
  return files->WriteFileAtomically(
      JoinPath(folder, "model.safetensors"),
      LittleEndian(text.size()) + text + std::string(bytes, '\0'));
}

absl::Status WriteTinyData(const std::string& path, int64_t rows,
                           int64_t row_tokens) {
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
  const uint64_t shape[] = {static_cast<uint64_t>(rows),
                            static_cast<uint64_t>(row_tokens + 1)};
  const std::vector<int32_t> tokens(shape[0] * shape[1]);
  RETURN_IF_ERROR(
      file.Write<int32_t>("/tokens", shape, absl::MakeConstSpan(tokens)));
  return file.Close();
}

}  // namespace caracal
