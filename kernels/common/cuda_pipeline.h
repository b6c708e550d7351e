// Barriers in shared memory (mbarrier) and tiles brought by Hopper's copy
// engine (TMA), for kernels whose warpgroups hand tiles to one another.
// Included only by sources compiled for sm_90a.
//
// A barrier counts arrivals; when all that a phase expects are there (and all
// bytes that were announced), the next phase begins. Wait(bar, n) returns once
// phase n (counted from 0; only n % 2 matters) is over: the waiter must be at
// most one phase behind. Formats: PTX ISA 8.0, "mbarrier", "cp.async.bulk".
#ifndef CARACAL_KERNELS_COMMON_CUDA_PIPELINE_H_
#define CARACAL_KERNELS_COMMON_CUDA_PIPELINE_H_

#include <cuda.h>

#include <cstdint>

#include "kernels/common/cuda_wgmma.h"

namespace caracal::kernels::cuda {

// In shared memory.
struct Barrier {
  uint64_t word;

  __device__ __forceinline__ void Init(int arrivals) {
    asm volatile(
        "mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(&word)),
        "r"(arrivals)
        : "memory");
  }
  __device__ __forceinline__ void Arrive() {
    asm volatile(
        "mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(&word))
        : "memory");
  }
  // Arrives, and lets the phase wait for so many bytes of the copy engine.
  __device__ __forceinline__ void ArriveExpecting(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     SharedAddress(&word)),
                 "r"(bytes)
                 : "memory");
  }
  __device__ __forceinline__ void Wait(int phase) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@done bra over;\n"
        "bra again;\n"
        "over:\n"
        "}\n" ::"r"(SharedAddress(&word)),
        "r"(phase & 1)
        : "memory");
  }
};

// After the barriers' Init, before others use them (and a barrier of the
// block).
__device__ __forceinline__ void FenceBarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  FenceShared();
}

// One lane of the warp arrives, after all its lanes got here.
__device__ __forceinline__ void ArriveWarp(Barrier& barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) barrier.Arrive();
}

// A box of a [rows, heads, D] tensor: 64 columns of 64 rows of one head, as a
// panel of a tile. Rows outside the tensor and columns beyond D are zeros.
// Called by one thread; the bytes count on `barrier`.
inline constexpr int kBoxBytes = 64 * 128;
__device__ __forceinline__ void LoadBox(const CUtensorMap& map, uint32_t to,
                                        int column, int head, int row,
                                        Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::"
      "complete_tx::bytes [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(to),
      "l"(&map), "r"(column), "r"(head), "r"(row),
      "r"(SharedAddress(&barrier.word))
      : "memory");
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_PIPELINE_H_
