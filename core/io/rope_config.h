// Rotary position embedding as a model's configuration describes it.
// Formulas: RoFormer (arXiv 2104.09864) and the scalings of transformers'
// `rope_parameters` (linear, llama3), computed in fp32 as it does.
#ifndef CARACAL_CORE_IO_ROPE_CONFIG_H_
#define CARACAL_CORE_IO_ROPE_CONFIG_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"

namespace caracal {

enum class RopeScaling : uint8_t {
  kNone,
  kLinear,  // all frequencies divided by `factor`
  kLlama3,  // low ones divided, high ones kept, a ramp between
};

// "default", "linear", "llama3", as transformers' rope_type.
const char* NameOf(RopeScaling scaling);

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  // kLlama3 only: wave lengths in units of original_max_positions.
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_positions = 8192;
  // One divisor for each frequency (GGUF's rope_freqs.weight), or empty.
  std::vector<float> divisors;  // [head_dim / 2]

  bool operator==(const RopeConfig&) const = default;
};

// kInvalidArgument, naming the field.
absl::Status Validate(const RopeConfig& rope, int64_t head_dim);

// Radians per position of each pair (i, i + head_dim / 2):
//     theta^(-2 i / head_dim), then the scaling, then the divisors.
std::vector<float> InvFreq(const RopeConfig& rope, int64_t head_dim);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_ROPE_CONFIG_H_
