#include "core/base/philox.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85;  // sqrt(3) - 1
constexpr int kRounds = 10;

// ln(x) for 0 < x <= 1, by arithmetic that is the same on every machine
// (glibc's differs with the processor in the last bit). Error below 1e-15
// relative.
double Log(double x) {
  int exponent;
  double mantissa = std::frexp(x, &exponent);  // in [0.5, 1); exact
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 atanh(t), t = (m - 1) / (m + 1), |t| < 0.1716.
  const double t = (mantissa - 1) / (mantissa + 1);
  const double t2 = t * t;
  double series = 0;
  for (int k = 21; k >= 1; k -= 2) series = series * t2 + 1.0 / k;
  return exponent * 0.69314718055994530942 + 2 * t * series;
}

struct SineCosine {
  double sine;
  double cosine;
};

// Of the angle 2 pi turn, 0 <= turn < 1. Error below 1e-15.
SineCosine SineCosineOfTurn(double turn) {
  // To |x| <= pi / 4 around a multiple of a quarter turn.
  const int quarter = static_cast<int>(turn * 4 + 0.5);
  const double x = (turn - quarter * 0.25) * 6.28318530717958647693;
  const double x2 = x * x;
  double sine = 1;
  for (int k = 16; k >= 2; k -= 2) sine = 1 - x2 / (k * (k + 1)) * sine;
  sine *= x;
  double cosine = 1;
  for (int k = 17; k >= 1; k -= 2) cosine = 1 - x2 / (k * (k + 1)) * cosine;
  switch (quarter % 4) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

RandomStream::RandomStream(const RandomKey& key) {
  CARACAL_CHECK(key.layer < (uint64_t{1} << 24)) << "layer " << key.layer;
  CARACAL_CHECK(key.sample < (uint64_t{1} << 32)) << "sample " << key.sample;
  CARACAL_CHECK(key.step < (uint64_t{1} << 32)) << "step " << key.step;
  counter_ = {0,
              static_cast<uint32_t>(key.purpose) << 24 |
                  static_cast<uint32_t>(key.layer),
              static_cast<uint32_t>(key.sample),
              static_cast<uint32_t>(key.step)};
  key_ = {static_cast<uint32_t>(key.seed),
          static_cast<uint32_t>(key.seed >> 32)};
}

std::array<uint32_t, 4> RandomStream::Block(uint64_t index) const {
  CARACAL_CHECK(index < (uint64_t{1} << 34)) << "index " << index;
  std::array<uint32_t, 4> counter = counter_;
  counter[0] = static_cast<uint32_t>(index / 4);
  return Philox4x32(counter, key_);
}

uint32_t RandomStream::Bits(uint64_t index) const {
  return Block(index)[index % 4];
}

float RandomStream::Uniform(uint64_t index) const {
  return static_cast<float>(Bits(index) >> 8) * 0x1p-24f;
}

std::array<float, 2> RandomStream::NormalPair(uint64_t pair) const {
  const std::array<uint32_t, 4> block = Block(2 * pair);
  const size_t first = pair % 2 * 2;
  // In (0, 1]: the logarithm is finite.
  const double u = (block[first] + 1.0) * 0x1p-32;
  const SineCosine angle = SineCosineOfTurn(block[first + 1] * 0x1p-32);
  const double radius = std::sqrt(-2 * Log(u));
  return {static_cast<float>(radius * angle.cosine),
          static_cast<float>(radius * angle.sine)};
}

float RandomStream::Normal(uint64_t index) const {
  return NormalPair(index / 2)[index % 2];
}

float Uniform(uint64_t seed, RandomPurpose purpose, uint64_t step,
              uint64_t sample, uint64_t layer, uint64_t index) {
  return RandomStream({.seed = seed,
                       .purpose = purpose,
                       .step = step,
                       .sample = sample,
                       .layer = layer})
      .Uniform(index);
}

void ShuffledOrder(uint64_t seed, uint64_t epoch, absl::Span<uint64_t> order) {
  CARACAL_CHECK(order.size() < (uint64_t{1} << 32)) << order.size();
  std::iota(order.begin(), order.end(), uint64_t{0});
  const RandomStream stream(
      {.seed = seed, .purpose = RandomPurpose::kRowOrder, .step = epoch});
  uint64_t next = 0;
  for (uint64_t i = order.size(); i > 1; --i) {
    // Uniform in [0, i) without bias: the high word of a product, drawing
    // again in the sliver where some values would come once more than others
    // (Lemire 2019).
    const uint32_t bound = static_cast<uint32_t>(i);
    const uint32_t sliver = -bound % bound;
    uint64_t product;
    do {
      product = uint64_t{stream.Bits(next++)} * bound;
    } while (static_cast<uint32_t>(product) < sliver);
    std::swap(order[i - 1], order[product >> 32]);
  }
}

}  // namespace caracal
