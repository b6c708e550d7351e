// The identity of a model's weights, so that a checkpoint can refer to them
// without copying them.
#ifndef CARACAL_CORE_IO_FINGERPRINT_H_
#define CARACAL_CORE_IO_FINGERPRINT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/io/weight_source.h"
#include "kernels/common/context.h"

namespace caracal {

struct HashedTensor {
  const TensorInfo* info = nullptr;
  absl::Span<const uint8_t> data;
};

// XXH3 (128 bits, as hexadecimal digits) over the configuration's fields that
// the model's function depends on, and each tensor's name, encoding, shape and
// bytes, in the order of names. Pieces of the data are hashed on all threads
// and their hashes hashed. WeightSource::Fingerprint says what it promises.
std::string FingerprintOf(const Context& ctx, const ModelConfig& config,
                          std::vector<HashedTensor> tensors);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_FINGERPRINT_H_
