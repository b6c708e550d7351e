// What one rank puts into a checkpoint: named tensors and a small state.
//
// Names are paths such as "parameters/layers/0/feature_map_q",
// "optimizer/m/layers/0/feature_map_q": parts of letters, digits, '_', '-' and
// '.', joined by '/'. They become datasets of the same name.
#ifndef CARACAL_DIST_CHECKPOINT_CONTENTS_H_
#define CARACAL_DIST_CHECKPOINT_CONTENTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "kernels/common/dtype.h"

namespace caracal {

// Which part of a larger tensor this rank owns.
struct TensorShard {
  std::vector<uint64_t> global_shape;
  std::vector<uint64_t> offset;  // of the first element, in each dimension
};

struct CheckpointTensor {
  std::string name;
  DType dtype = DType::kF32;  // kF32, kI32, kI64 or kU8
  std::vector<uint64_t> shape;
  // Row-major, contiguous; not owned. May be null when the shape has a zero.
  const void* data = nullptr;
  std::optional<TensorShard> shard;  // none: the tensor is whole
};

// How the ranks are laid out.
struct ParallelLayout {
  uint64_t data = 1;
  uint64_t tensor = 1;
  uint64_t layer = 1;
  bool operator==(const ParallelLayout&) const = default;
};

struct CheckpointContents {
  uint64_t step = 0;  // optimiser steps done, over all stages
  ParallelLayout layout;
  std::string model_fingerprint;  // of the frozen base weights
  std::string job_fingerprint;
  // Of the rows that are trained and validated on; "": not said, or none.
  std::string data_fingerprint;
  std::string validation_fingerprint;
  std::string created_by;  // program and version

  std::vector<CheckpointTensor> tensors;
  // Data cursors, random keys, schedule state (JSON where structured). The
  // three lists share one name space; a name is one part as above.
  std::vector<std::pair<std::string, std::string>> strings;
  std::vector<std::pair<std::string, int64_t>> integers;
  std::vector<std::pair<std::string, double>> numbers;
};

// Whether a name of a tensor (of any number of parts) or of a state entry
// (`parts` = 1) can be used.
bool IsCheckpointName(absl::string_view name, int max_parts = 16);

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_CONTENTS_H_
