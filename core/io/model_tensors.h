// The tensors a configuration asks for, by their names in each format.
#ifndef CARACAL_CORE_IO_MODEL_TENSORS_H_
#define CARACAL_CORE_IO_MODEL_TENSORS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/io/model_config.h"

namespace caracal {

struct ExpectedTensor {
  std::string name;  // Hugging Face's
  std::string gguf_name;
  std::vector<int64_t> shape;
  // Heads whose rows GGUF files interleave (architecture.h); 0: none.
  int64_t rotary_heads = 0;
};

// In model order. lm_head.weight is among them unless the embeddings are tied.
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

// For a tensor that is not expected: whether leaving it out would change what
// the model computes (a bias, a norm of q or k, a further layer). Others, such
// as feature maps and cached rotary tables, are harmless. kUnimplemented or
// kInvalidArgument, naming the tensor.
absl::Status CheckUnexpectedTensor(absl::string_view name,
                                   const ModelConfig& config);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_MODEL_TENSORS_H_
