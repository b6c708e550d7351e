// The frozen base weights of the Llama family, as one shard holds them.
#ifndef CARACAL_CORE_MODEL_LLAMA_WEIGHTS_H_
#define CARACAL_CORE_MODEL_LLAMA_WEIGHTS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/device/device.h"
#include "core/io/model_config.h"
#include "core/io/weight_source.h"
#include "core/model/adapters.h"
#include "core/model/linear_weight.h"
#include "core/model/shard.h"
#include "core/tensor/tensor.h"
#include "kernels/common/context.h"

namespace caracal {

// One decoder layer. C hidden size, D head dimension, H and Hkv this shard's
// query and key/value heads, F this shard's MLP columns.
struct LayerWeights {
  Tensor attention_norm;  // [C]
  LinearWeight qkv;       // [(H + 2 Hkv) D, C]: q above k above v
  LinearWeight o;         // [C, H D]
  Tensor mlp_norm;        // [C]
  LinearWeight gate_up;   // [2 F, C]: gate above up
  LinearWeight down;      // [C, F]
};

// How a shard's matrices are kept.
enum class WeightForm {
  kDense,   // fp32: training and evaluation
  kBlocks,  // as encoded in the file: decoding reads fewer bytes
};

// Which parts of the model a rank holds.
struct LlamaParts {
  std::optional<IndexRange> layers;  // in the model's numbering; none: all
  bool embedding = true;             // of tokens: of who runs the first layer
  bool head = true;                  // the last norm and lm_head
};

// Where a shard's weights go.
struct WeightPlacement {
  Device* device = nullptr;  // null: host memory
  // On a device matrices have room for these adapters; null: for none.
  const LoraConfig* lora = nullptr;
};

// In host memory everything is fp32; on a device matrices are bf16, vectors and
// tables fp32.
// Immutable after loading; thread-safe to read. In kBlocks form the source
// must live as long.
struct LlamaWeights {
  ModelConfig config;
  Shard shard;
  HeadSplit split;             // of attention
  IndexRange heads, kv_heads;  // split's
  IndexRange columns;          // of the MLP
  IndexRange vocabulary;
  IndexRange layer_range;  // of the model, that this rank holds
  // Undefined where the parts leave them out.
  LinearWeight embedding;  // [V of this shard, C]
  Tensor final_norm;       // [C]
  LinearWeight lm_head;    // [V of this shard, C]; the embedding when tied
  std::vector<LayerWeights> layers;  // those of layer_range
  Tensor rope_cos, rope_sin;         // [positions, D / 2]

  // Reads this shard's part of every tensor of these parts, and touches no
  // other. kBlocks is for one shard only, in host memory. Errors name the file
  // and the tensor; kResourceExhausted of a device that is too small.
  static absl::StatusOr<LlamaWeights> Load(
      const Context& ctx, const WeightSource& source, Shard shard,
      WeightForm form, const LlamaParts& parts = {},
      const WeightPlacement& placement = {});

  AdapterShape adapter_shape() const;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_LLAMA_WEIGHTS_H_
