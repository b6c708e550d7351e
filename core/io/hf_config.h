// Hugging Face's config.json, as written by transformers 4 (`rope_theta`,
// `rope_scaling`, `torch_dtype`) and 5 (`rope_parameters`, `dtype`).
#ifndef CARACAL_CORE_IO_HF_CONFIG_H_
#define CARACAL_CORE_IO_HF_CONFIG_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/io/model_config.h"

namespace caracal {

// Reads and validates. Absent fields have transformers' defaults for Llama.
// Messages name the field: kDataLoss (not JSON), kInvalidArgument (a field
// missing, of a wrong type or out of range), kUnimplemented (an architecture
// or feature this program does not have).
absl::StatusOr<ModelConfig> ParseHfConfig(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_HF_CONFIG_H_
