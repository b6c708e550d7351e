// The table of model architectures: what each is called in Hugging Face and
// GGUF files, and how its weights differ from plain Llama's. A new one is a
// row here, and whatever its flags ask of the model code.
#ifndef CARACAL_CORE_IO_ARCHITECTURE_H_
#define CARACAL_CORE_IO_ARCHITECTURE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

struct ArchitectureInfo {
  const char* name;      // also `model_type` in config.json
  const char* hf_class;  // in `architectures` of config.json
  // `general.architecture` in GGUF files; nullptr: written as another row's.
  const char* gguf_name;
  // GGUF files interleave the rows of q and k of each head: row 2 j + b there
  // is row b head_dim / 2 + j here.
  bool gguf_interleaves_qk;
  // Not supported by the model code yet.
  bool qkv_bias;  // biases of the q, k and v projections
  bool qk_norm;   // RMS norm of each head's q and k
};

// kUnimplemented, naming what was found, why it can't be used, and what can.
absl::StatusOr<const ArchitectureInfo*> FindHfArchitecture(
    absl::string_view model_type);
absl::StatusOr<const ArchitectureInfo*> FindGgufArchitecture(
    absl::string_view name);
// The row whose hf_class this is, or nullptr.
const ArchitectureInfo* FindHfClass(absl::string_view hf_class);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_ARCHITECTURE_H_
