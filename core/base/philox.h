// Random numbers as a function of what they are for, with no state: the
// counter-based generator Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011), keyed by seed, purpose, step, sample
// and layer. Any data- or tensor-parallel layout, a recomputation and a resumed
// run draw the same numbers. The same bits on every machine: nothing here
// calls the mathematical library. Pure functions, thread-safe.
#ifndef CARACAL_CORE_BASE_PHILOX_H_
#define CARACAL_CORE_BASE_PHILOX_H_

#include <array>
#include <cstdint>

#include "absl/types/span.h"

namespace caracal {

// One block of 128 random bits.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

// What numbers are drawn for: two purposes never share numbers. The values
// decide what a seed means: never change or reuse one.
enum class RandomPurpose : uint8_t {
  kTest = 0,
  kRowOrder = 1,          // step: the epoch
  kComponentDropout = 2,  // SSD's drops; index: the head
  kFeatureMapInit = 3,    // index: the element
  kAdapterInit = 4,       // LoRA's A; index: the element
  kDropout = 5,           // index: the element
  kTokenSampling = 6,     // step: the position; sample: the sequence
  kBootstrap = 7,         // step: the replicate
  kSyntheticData = 8,     // generated rows and benchmarks
  kProbe = 9,  // step: tokens of the prompt; sample; layer: the probe
};

// Which numbers are wanted. Counter layout, as 32-bit words:
//   0: block of the index (index / 4)
//   1: purpose (8 high bits), layer (24 low bits)
//   2: sample
//   3: step
// The key is the seed, low word first. A larger layer (>= 2^24), sample or
// step (>= 2^32) is a bug and CHECKed.
struct RandomKey {
  uint64_t seed = 0;
  RandomPurpose purpose = RandomPurpose::kTest;
  uint64_t step = 0;    // optimiser step over the whole job
  uint64_t sample = 0;  // global: of the whole batch, not of this rank's part
  uint64_t layer = 0;   // global too
};

// A random-access sequence of numbers; cheap to copy. Index < 2^34.
class RandomStream {
 public:
  explicit RandomStream(const RandomKey& key);

  // The four numbers Bits(i) of the i with i / 4 == index / 4, for the price of
  // one.
  std::array<uint32_t, 4> Block(uint64_t index) const;
  // 32 random bits.
  uint32_t Bits(uint64_t index) const;
  // In [0, 1), a multiple of 2^-24.
  float Uniform(uint64_t index) const;
  // Standard normal (Box-Muller): two independent numbers from the bits of
  // the indices 2 * pair and 2 * pair + 1.
  std::array<float, 2> NormalPair(uint64_t pair) const;
  // NormalPair(index / 2)[index % 2].
  float Normal(uint64_t index) const;

 private:
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 2> key_;
};

// A float in [0, 1): the element `index` of the stream of these keys.
float Uniform(uint64_t seed, RandomPurpose purpose, uint64_t step,
              uint64_t sample, uint64_t layer, uint64_t index);

// Fills `order` with a permutation of 0 .. order.size() - 1, every one equally
// likely: the order of a data set's rows in this epoch. Sizes below 2^32.
void ShuffledOrder(uint64_t seed, uint64_t epoch, absl::Span<uint64_t> order);

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_PHILOX_H_
