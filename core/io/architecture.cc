#include "core/io/architecture.h"

#include <string>

#include "core/base/status.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

constexpr ArchitectureInfo kArchitectures[] = {
    {.name = "llama",
     .hf_class = "LlamaForCausalLM",
     .gguf_name = "llama",
     .gguf_interleaves_qk = true,
     .qkv_bias = false,
     .qk_norm = false},
    // Without a sliding window, Mistral is Llama, and GGUF files say so.
    {.name = "mistral",
     .hf_class = "MistralForCausalLM",
     .gguf_name = nullptr,
     .gguf_interleaves_qk = true,
     .qkv_bias = false,
     .qk_norm = false},
    {.name = "qwen2",
     .hf_class = "Qwen2ForCausalLM",
     .gguf_name = "qwen2",
     .gguf_interleaves_qk = false,
     .qkv_bias = true,
     .qk_norm = false},
    {.name = "qwen3",
     .hf_class = "Qwen3ForCausalLM",
     .gguf_name = "qwen3",
     .gguf_interleaves_qk = false,
     .qkv_bias = false,
     .qk_norm = true},
};

bool Supported(const ArchitectureInfo& info) {
  return !info.qkv_bias && !info.qk_norm;
}

absl::StatusOr<const ArchitectureInfo*> Choose(const ArchitectureInfo* info,
                                               absl::string_view name,
                                               bool gguf) {
  if (info != nullptr && Supported(*info)) return info;
  std::string usable;
  for (const ArchitectureInfo& row : kArchitectures) {
    const char* row_name = gguf ? row.gguf_name : row.name;
    if (!Supported(row) || row_name == nullptr) continue;
    absl::StrAppend(&usable, usable.empty() ? "" : ", ", row_name);
  }
  const char* reason =
      info == nullptr ? "is unknown"
      : info->qkv_bias
          ? "has biases on its q, k and v projections, which are not supported"
          : "has norms on its queries and keys, which are not supported";
  return absl::UnimplementedError(absl::StrCat("architecture ", Quoted(name),
                                               " ", reason,
                                               "; expected one of: ", usable));
}

}  // namespace

absl::StatusOr<const ArchitectureInfo*> FindHfArchitecture(
    absl::string_view model_type) {
  const ArchitectureInfo* found = nullptr;
  for (const ArchitectureInfo& row : kArchitectures) {
    if (model_type == row.name) found = &row;
  }
  return Choose(found, model_type, /*gguf=*/false);
}

absl::StatusOr<const ArchitectureInfo*> FindGgufArchitecture(
    absl::string_view name) {
  const ArchitectureInfo* found = nullptr;
  for (const ArchitectureInfo& row : kArchitectures) {
    if (row.gguf_name != nullptr && name == row.gguf_name) found = &row;
  }
  return Choose(found, name, /*gguf=*/true);
}

const ArchitectureInfo* FindHfClass(absl::string_view hf_class) {
  for (const ArchitectureInfo& row : kArchitectures) {
    if (hf_class == row.hf_class) return &row;
  }
  return nullptr;
}

}  // namespace caracal
