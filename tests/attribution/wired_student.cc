#include "tests/attribution/wired_student.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hf_config.h"
#include "core/io/model_tensors.h"
#include "core/io/safetensors_builder.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

// The large rope_theta all but stops RoPE in the pair of dimensions 7 and 15.
constexpr char kConfig[] = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
  "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 16,
  "rms_norm_eps": 1e-6, "max_position_embeddings": 256, "vocab_size": 16,
  "tie_word_embeddings": false, "hidden_act": "silu", "rope_theta": 1e7,
  "bos_token_id": 8, "eos_token_id": 8
})";
// Of the residual stream: a token's own dimension is its id, an answer's is
// kAnswers and the fact, and every token has a 1 in kAlways.
constexpr int kAnswers = 16, kAlways = 31;
constexpr int kFound = 7;  // of a head: where queries look for facts

// Element [row, column] of a tensor of `columns`.
using Tensor = std::vector<float>;
using Tensors = std::map<std::string, Tensor>;

void Set(Tensors* tensors, const std::string& name, int row, int columns,
         int column, float value) {
  tensors->at(name)[row * columns + column] = value;
}

// The norm turns the two ones of an embedding into fours.
constexpr float kNormed = 4;

void Wire(Tensors* tensors) {
  const std::string layer = "model.layers.0.";
  for (auto& [name, values] : *tensors) {
    if (name.find("norm") == std::string::npos) continue;
    for (float& value : values) value = 1;
  }
  for (int token = 0; token < WiredStudent::kVocabulary; ++token) {
    Set(tensors, "model.embed_tokens.weight", token, 32, token, 1);
    Set(tensors, "model.embed_tokens.weight", token, 32, kAlways, 1);
  }
  const std::string attention = layer + "self_attn.";
  Set(tensors, attention + "q_proj.weight", kFound, 32, kAlways, 8 / kNormed);
  for (int fact = 0; fact < WiredStudent::kFacts; ++fact) {
    Set(tensors, attention + "k_proj.weight", kFound, 32, fact, 8 / kNormed);
    Set(tensors, attention + "v_proj.weight", fact, 32, fact, 100 / kNormed);
    Set(tensors, attention + "o_proj.weight", kAnswers + fact, 16, fact, 1);
    Set(tensors, "lm_head.weight", fact, 32, kAnswers + fact, 2);
  }
}

absl::Status WriteModel(const std::string& folder) {
  ASSIGN_OR_RETURN(const ModelConfig config, ParseHfConfig(kConfig));
  Tensors tensors;
  const std::vector<ExpectedTensor> expected = ExpectedTensors(config);
  for (const ExpectedTensor& tensor : expected) {
    int64_t size = 1;
    for (const int64_t n : tensor.shape) size *= n;
    tensors[tensor.name].resize(size);
  }
  Wire(&tensors);
  nlohmann::ordered_json header;
  std::string data;
  for (const ExpectedTensor& tensor : expected) {
    const Tensor& values = tensors[tensor.name];
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(values.data()),
                values.size() * sizeof(float));
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, data.size()}}};
  }
  FileSystem* files = FileSystem::Posix();
  RETURN_IF_ERROR(
      files->WriteFileAtomically(JoinPath(folder, "config.json"), kConfig));
  return files->WriteFileAtomically(JoinPath(folder, "model.safetensors"),
                                    MakeSafetensors(header.dump(), data));
}

}  // namespace

absl::StatusOr<std::unique_ptr<WiredStudent>> WiredStudent::Make(
    const kernels::HybridAttentionConfig& attention, LinearPart linear_part) {
  auto student = std::make_unique<WiredStudent>();
  RETURN_IF_ERROR(WriteModel(student->folder_.path()));
  ASSIGN_OR_RETURN(student->model_,
                   golden::GoldenModel::Load(student->folder_.path()));
  StudentConfig config;
  config.attention = attention;
  config.attention.affine = linear_part == LinearPart::kSilent;
  config.features = 16;
  // Feature maps begin as the identity.
  student->model_->SetStudent(config);
  const Adapters& adapters = student->model_->adapters();
  if (linear_part == LinearPart::kSilent) {
    adapters.window_factor(0).value.f32()[0] = 200;
  }
  if (linear_part == LinearPart::kLooksAway) {
    const TensorView map = adapters.feature_map_k(0).value;
    for (int64_t i = 0; i < map.size(); ++i) map.f32()[i] *= -1;
  }
  return student;
}

std::vector<int32_t> WiredStudent::Row(int64_t index, int64_t tokens,
                                       int64_t position) {
  std::vector<int32_t> row;
  for (int64_t t = 0; t + 2 < tokens; ++t) {
    row.push_back(static_cast<int32_t>(kFacts + (t * 5 + index * 3) % 7));
  }
  const auto fact = static_cast<int32_t>(index % kFacts);
  row[position] = fact;
  row.push_back(kQuestion);
  row.push_back(fact);
  return row;
}

absl::Status WiredStudent::SetRows(int64_t count, int64_t tokens,
                                   int64_t position) {
  std::vector<int32_t> all;
  std::vector<uint8_t> mask;
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<int32_t> row = Row(i, tokens, position);
    all.insert(all.end(), row.begin(), row.end());
    mask.insert(mask.end(), tokens - 1, 0);
    mask.push_back(1);
  }
  const std::string path = folder_.File("rows.h5");
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
  const uint64_t shape[] = {static_cast<uint64_t>(count),
                            static_cast<uint64_t>(tokens)};
  RETURN_IF_ERROR(
      file.Write<int32_t>(kTokensDataset, shape, absl::MakeConstSpan(all)));
  RETURN_IF_ERROR(
      file.Write<uint8_t>(kLossMaskDataset, shape, absl::MakeConstSpan(mask)));
  RETURN_IF_ERROR(file.Close());
  ASSIGN_OR_RETURN(data_, PackedDataset::Open(path));
  return absl::OkStatus();
}

}  // namespace caracal
