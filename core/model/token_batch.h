// Rows of tokens on their way through the model.
#ifndef CARACAL_CORE_MODEL_TOKEN_BATCH_H_
#define CARACAL_CORE_MODEL_TOKEN_BATCH_H_

#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace caracal {

// `sequences` runs of tokens, one after another: sequence i owns rows
// [offsets[i], offsets[i + 1]). All host memory, owned by the caller and
// valid during the pass.
struct TokenBatch {
  int64_t sequences = 0;
  const int64_t* offsets = nullptr;  // [sequences + 1]
  ConstTensorView tokens;            // int32 [rows]
  ConstTensorView positions;         // int32 [rows], of RoPE
  ConstTensorView targets;           // int32 [rows], or undefined
  // Which row of the data a sequence is, or is a document of: int32
  // [sequences]. Null: sequence i is row i.
  const int32_t* samples = nullptr;
  int64_t sample(int64_t sequence) const {
    return samples == nullptr ? sequence : samples[sequence];
  }
  int64_t rows() const { return offsets[sequences]; }
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_TOKEN_BATCH_H_
