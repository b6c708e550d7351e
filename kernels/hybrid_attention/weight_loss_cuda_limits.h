// What the attention-weight loss takes on a CUDA device; also for those who
// have none and check a job for one that has.
#ifndef CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_
#define CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace caracal::kernels {

// How a block cuts up its shared memory, for heads of D dimensions and feature
// maps of so many outputs (to a multiple of 16): 64 rows of its own and a tile
// of 64 others. Offsets in bytes.
struct WeightLossCudaMemory {
  static constexpr int kRows = 64;
  static constexpr int kPad = 8;         // bf16 between rows
  static constexpr int kStatistics = 4;  // of a row

  size_t bytes = 0;          // of all
  size_t own_x, tile_x;      // bf16 [kRows, D + kPad]
  size_t own_phi, tile_phi;  // bf16 [kRows, outputs + kPad]
  size_t rows;               // float [kStatistics, kRows], of the tile

  constexpr WeightLossCudaMemory(int64_t D, int64_t outputs)
      : own_x(Take(kRows * (D + kPad) * 2)),
        tile_x(Take(kRows * (D + kPad) * 2)),
        own_phi(Take(kRows * (outputs + kPad) * 2)),
        tile_phi(Take(kRows * (outputs + kPad) * 2)),
        rows(Take(kStatistics * kRows * 4)) {}

 private:
  constexpr size_t Take(size_t size) {
    const size_t at = bytes;
    bytes += (size + 127) / 128 * 128;
    return at;
  }
};

// Most outputs of a feature map, of heads of D dimensions, where a block may
// have `block_bytes` of shared memory; 0: none.
constexpr int64_t WeightLossCudaMostFeatures(int64_t D, size_t block_bytes) {
  int64_t most = 0;
  while (WeightLossCudaMemory(D, most + 16).bytes <= block_bytes) most += 16;
  return most;
}

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_HYBRID_ATTENTION_WEIGHT_LOSS_CUDA_LIMITS_H_
