#include "jobs/client/inspect_model.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/io/gguf.h"
#include "core/io/safetensors_file.h"
#include "core/io/weight_source.h"
#include "eval/report/numbers.h"
#include "jobs/client/model_words.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

constexpr size_t kLongestValue = 80;  // characters of a metadata value

// A metadata value in one line; what kind it is shows by what can read it.
std::string ValueText(const GgufFile& file, absl::string_view key) {
  if (const auto text = file.GetString(key); text.ok()) {
    return text->size() <= kLongestValue
               ? std::string(*text)
               : absl::StrCat(text->substr(0, kLongestValue), "... (",
                              Count(text->size()), " bytes)");
  }
  if (const auto number = file.GetInt(key); number.ok()) {
    return absl::StrCat(*number);
  }
  if (const auto number = file.GetFloat(key); number.ok()) {
    return absl::StrCat(*number);
  }
  if (const auto yes = file.GetBool(key); yes.ok()) {
    return *yes ? "true" : "false";
  }
  const auto list = [](size_t size, const char* of) {
    return absl::StrCat("[", Count(size), " ", of, size == 1 ? "]" : "s]");
  };
  if (const auto strings = file.GetStringArray(key); strings.ok()) {
    return list(strings->size(), "string");
  }
  if (const auto numbers = file.GetIntArray(key); numbers.ok()) {
    return list(numbers->size(), "whole number");
  }
  if (const auto numbers = file.GetFloatArray(key); numbers.ok()) {
    return list(numbers->size(), "number");
  }
  if (const auto flags = file.GetBoolArray(key); flags.ok()) {
    return list(flags->size(), "flag");
  }
  return "(a list of lists)";
}

void AddConfig(const ModelConfig& config, Inspection* out) {
  out->Add("model", ModelWords(config), ModelJson(config));
  out->Add("sizes",
           absl::StrCat("hidden ", Count(config.hidden_size), ", intermediate ",
                        Count(config.intermediate_size), ", vocabulary ",
                        Count(config.vocab_size),
                        config.tie_word_embeddings ? ", embeddings tied" : ""),
           nullptr);
  out->Add(
      "context",
      absl::StrCat(Count(config.max_positions), " tokens, RoPE theta ",
                   config.rope.theta, " (", NameOf(config.rope.scaling), ")"),
      nullptr);
}

// Decodes everything once; the first weight that is not finite is an error.
absl::Status VerifyWeights(const WeightSource& source, Inspection* out) {
  ThreadPool pool(AvailableCores());
  const Context ctx{DeviceType::kCpu, &pool, nullptr};
  std::vector<float> values;
  for (const TensorInfo& tensor : source.tensors()) {
    values.resize(tensor.rows() * tensor.columns());
    RETURN_IF_ERROR(source.ReadF32(ctx, tensor.name, values.data()));
  }
  out->Add("weights", "all finite", true);
  out->Add("fingerprint", source.Fingerprint(ctx));
  return absl::OkStatus();
}

// What using it as a model finds.
void CheckModel(const std::string& path, bool verify, FileSystem* files,
                Inspection* out) {
  const auto source = OpenModel(path, files);
  if (!source.ok()) {
    out->problem = source.status();
    return;
  }
  AddConfig((*source)->config(), out);
  if (verify) out->problem = VerifyWeights(**source, out);
}

void AddFileSize(const std::string& path, FileSystem* files, Inspection* out) {
  if (const auto bytes = files->FileSize(path); bytes.ok()) {
    out->Add("file size", Bytes(*bytes), *bytes);
  }
}

uint64_t StoredBytes(const TensorInfo& tensor) {
  return tensor.rows() * RowBytes(tensor.encoding, tensor.columns());
}

}  // namespace

absl::StatusOr<Inspection> InspectGguf(const std::string& path, bool verify,
                                       FileSystem* files) {
  ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                   GgufFile::Open(path, files));
  Inspection out;
  out.path = path;
  out.format = absl::StrCat("GGUF model, version ", file->version());
  AddFileSize(path, files, &out);
  for (const absl::string_view key : file->keys()) {
    out.metadata.emplace_back(key, ValueText(*file, key));
  }
  for (const GgufTensor& tensor : file->tensors()) {
    out.tensors.push_back({std::string(tensor.name), tensor.shape,
                           NameOf(tensor.encoding), tensor.data.size()});
  }
  CheckModel(path, verify, files, &out);
  return out;
}

absl::StatusOr<Inspection> InspectModelFolder(const std::string& path,
                                              bool verify, FileSystem* files) {
  ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source,
                   OpenModel(path, files));
  Inspection out;
  out.path = path;
  out.format = "Hugging Face model";
  AddConfig(source->config(), &out);
  for (const TensorInfo& tensor : source->tensors()) {
    out.tensors.push_back({tensor.name, tensor.shape, NameOf(tensor.encoding),
                           StoredBytes(tensor)});
  }
  if (verify) out.problem = VerifyWeights(*source, &out);
  return out;
}

absl::StatusOr<Inspection> InspectSafetensors(const std::string& path,
                                              FileSystem* files) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file,
                   SafetensorsFile::Open(path, files));
  Inspection out;
  out.path = path;
  out.format = "safetensors";
  AddFileSize(path, files, &out);
  for (const auto& [name, value] : file->metadata()) {
    out.metadata.emplace_back(name, value);
  }
  for (const SafetensorsTensor& tensor : file->tensors()) {
    out.tensors.push_back({tensor.name, tensor.shape, NameOf(tensor.encoding),
                           tensor.data.size()});
  }
  return out;
}

}  // namespace caracal
