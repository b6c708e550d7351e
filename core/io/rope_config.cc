#include "core/io/rope_config.h"

#include <cmath>
#include <numbers>

#include "core/base/status.h"

namespace caracal {
namespace {

absl::Status OutOfRange(absl::string_view field, double value,
                        absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", value, ", expected ", expected));
}

float Llama3Frequency(const RopeConfig& rope, float frequency) {
  const float original = static_cast<float>(rope.original_max_positions);
  const float low = static_cast<float>(rope.low_freq_factor);
  const float high = static_cast<float>(rope.high_freq_factor);
  const float factor = static_cast<float>(rope.factor);
  const float wave_length =
      2 * std::numbers::pi_v<float> / frequency;  // positions
  if (wave_length < original / high) return frequency;
  if (wave_length > original / low) return frequency / factor;
  const float kept = (original / wave_length - low) / (high - low);
  return (1 - kept) * frequency / factor + kept * frequency;
}

}  // namespace

const char* NameOf(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "default";
    case RopeScaling::kLinear:
      return "linear";
    case RopeScaling::kLlama3:
      return "llama3";
  }
  return "?";
}

absl::Status Validate(const RopeConfig& rope, int64_t head_dim) {
  // Written so that NaN fails as well.
  if (!(rope.theta >= 1 && rope.theta <= 1e12)) {
    return OutOfRange("rope_theta", rope.theta, "1 to 1e12");
  }
  if (!(rope.factor >= 1 && rope.factor <= 1e6)) {
    return OutOfRange("rope scaling factor", rope.factor, "1 to 1e6");
  }
  if (rope.scaling == RopeScaling::kLlama3) {
    if (!(rope.low_freq_factor > 0 &&
          rope.high_freq_factor > rope.low_freq_factor &&
          rope.high_freq_factor <= 1e6)) {
      return absl::InvalidArgumentError(
          absl::StrCat("low_freq_factor is ", rope.low_freq_factor,
                       " and high_freq_factor ", rope.high_freq_factor,
                       ", expected 0 < low_freq_factor < high_freq_factor"));
    }
    if (rope.original_max_positions < 1 ||
        rope.original_max_positions > (1 << 27)) {
      return OutOfRange("original_max_position_embeddings",
                        static_cast<double>(rope.original_max_positions),
                        "1 to 134217728");
    }
  }
  if (!rope.divisors.empty() && rope.divisors.size() != head_dim / 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", rope.divisors.size(),
                     " rope frequency factors, expected ", head_dim / 2));
  }
  for (const float divisor : rope.divisors) {
    if (!(divisor > 0 && divisor <= 1e6f)) {
      return OutOfRange("a rope frequency factor", divisor, "0 to 1e6");
    }
  }
  return absl::OkStatus();
}

std::vector<float> InvFreq(const RopeConfig& rope, int64_t head_dim) {
  std::vector<float> out(head_dim / 2);
  for (size_t i = 0; i < out.size(); ++i) {
    const float exponent =
        static_cast<float>(2 * i) / static_cast<float>(head_dim);
    float frequency = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
    if (rope.scaling == RopeScaling::kLinear) {
      frequency /= static_cast<float>(rope.factor);
    } else if (rope.scaling == RopeScaling::kLlama3) {
      frequency = Llama3Frequency(rope, frequency);
    }
    if (!rope.divisors.empty()) frequency /= rope.divisors[i];
    out[i] = frequency;
  }
  return out;
}

}  // namespace caracal
