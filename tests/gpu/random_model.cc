#include "tests/gpu/random_model.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

#include "absl/strings/match.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hf_config.h"
#include "core/io/model_tensors.h"
#include "core/io/tokenizer/byte_alphabet.h"
#include "kernels/common/dtype.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

std::string LittleEndian(uint64_t value) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

}  // namespace

absl::Status WriteRandomModel(const std::string& folder,
                              const RandomModelShape& shape, uint64_t seed) {
  Json config;
  config["architectures"] = {"LlamaForCausalLM"};
  config["model_type"] = "llama";
  config["hidden_size"] = shape.hidden;
  config["intermediate_size"] = shape.inner;
  config["num_hidden_layers"] = shape.layers;
  config["num_attention_heads"] = shape.heads;
  config["num_key_value_heads"] = shape.kv_heads;
  config["head_dim"] = shape.head_dim;
  config["rms_norm_eps"] = 1e-5;
  config["max_position_embeddings"] = shape.positions;
  config["vocab_size"] = shape.vocabulary;
  config["tie_word_embeddings"] = false;
  config["hidden_act"] = "silu";
  config["rope_theta"] = 10000.0;
  config["bos_token_id"] = 1;
  config["eos_token_id"] = 2;
  ASSIGN_OR_RETURN(const ModelConfig parsed, ParseHfConfig(config.dump()));

  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  Json header;
  std::string data;
  for (const ExpectedTensor& tensor : ExpectedTensors(parsed)) {
    int64_t size = 1;
    for (const int64_t n : tensor.shape) size *= n;
    const bool norm = tensor.shape.size() == 1;
    const bool embedding = absl::StrContains(tensor.name, "embed_tokens");
    const float scale =
        embedding ? 1 : 1 / std::sqrt(static_cast<float>(tensor.shape.back()));
    const uint64_t begin = data.size();
    for (int64_t i = 0; i < size; ++i) {
      const uint16_t bits = Bf16FromFloat(norm ? 1 : scale * normal(random));
      data += static_cast<char>(bits & 0xff);
      data += static_cast<char>(bits >> 8);
    }
    header[tensor.name] = {{"dtype", "BF16"},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  FileSystem* files = FileSystem::Posix();
  RETURN_IF_ERROR(files->CreateFolder(folder));
  RETURN_IF_ERROR(files->WriteFileAtomically(JoinPath(folder, "config.json"),
                                             config.dump()));
  return files->WriteFileAtomically(JoinPath(folder, "model.safetensors"),
                                    LittleEndian(text.size()) + text + data);
}

absl::Status WriteByteTokenizer(const std::string& folder) {
  Json vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[ByteAlphabetChar(static_cast<uint8_t>(byte))] = byte;
  }
  const Json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  Json tokenizer;
  tokenizer["added_tokens"] = Json::array();
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = bytes;
  tokenizer["post_processor"] = nullptr;
  tokenizer["decoder"] = {{"type", "ByteLevel"}};
  tokenizer["model"] = {{"type", "BPE"},
                        {"vocab", vocabulary},
                        {"merges", Json::array()},
                        {"unk_token", nullptr},
                        {"dropout", nullptr}};
  return FileSystem::Posix()->WriteFileAtomically(
      JoinPath(folder, "tokenizer.json"), tokenizer.dump());
}

absl::Status WriteRandomData(const std::string& path, int64_t rows,
                             int64_t row_tokens, int64_t vocabulary,
                             uint64_t seed) {
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
  const uint64_t shape[] = {static_cast<uint64_t>(rows),
                            static_cast<uint64_t>(row_tokens + 1)};
  std::mt19937_64 random(seed);
  std::vector<int32_t> tokens(shape[0] * shape[1]);
  for (int32_t& token : tokens) {
    token = static_cast<int32_t>(random() % vocabulary);
  }
  RETURN_IF_ERROR(
      file.Write<int32_t>("/tokens", shape, absl::MakeConstSpan(tokens)));
  return file.Close();
}

}  // namespace caracal
