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

  // At the same barrier of block `rank` of the cluster. Says that what was
  // read here has been read; ordinary writes to that block's memory are not
  // ordered by it (that takes a fence of many hundred cycles).
  __device__ __forceinline__ void ArriveAt(int rank) {
    asm volatile(
        "{\n"
        ".reg .b32 at;\n"
        "mapa.shared::cluster.u32 at, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [at];\n"
        "}\n" ::"r"(SharedAddress(&word)),
        "r"(rank)
        : "memory");
  }
  // Wait(), for what blocks of the cluster SendTo() this one.
  __device__ __forceinline__ void WaitForCluster(int phase) {
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], "
        "%1;\n"
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

// A box of a matrix, as its map has it (CudaMatrixMap), to a panel of a tile.
// What lies outside the matrix is zeros, and counts as bytes all the same.
// Called by one thread.
__device__ __forceinline__ void LoadMatrixBox(const CUtensorMap& map,
                                              uint32_t to, int column, int row,
                                              Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::"
      "complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(to),
      "l"(&map), "r"(column), "r"(row), "r"(SharedAddress(&barrier.word))
      : "memory");
}
// The same to all blocks of the cluster that `blocks` has bits of, at the same
// place of each; the bytes count on each one's barrier.
__device__ __forceinline__ void LoadMatrixBoxForAll(const CUtensorMap& map,
                                                    uint32_t to, int column,
                                                    int row, Barrier& barrier,
                                                    uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::"
      "complete_tx::bytes.multicast::cluster [%0], [%1, {%2, %3}], [%4], "
      "%5;" ::"r"(to),
      "l"(&map), "r"(column), "r"(row), "r"(SharedAddress(&barrier.word)),
      "h"(blocks)
      : "memory");
}

// A panel to a box of a matrix, but for what lies outside; its writers have
// called FenceShared() and a barrier. Stores belong to the thread that calls.
__device__ __forceinline__ void StoreMatrixBox(const CUtensorMap& map,
                                               uint32_t from, int column,
                                               int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group "
      "[%0, {%1, %2}], [%3];\n"
      "cp.async.bulk.commit_group;" ::"l"(&map),
      "r"(column), "r"(row), "r"(from)
      : "memory");
}
// Until all but the kLeft newest have been read.
template <int kLeft>
__device__ __forceinline__ void WaitStoresRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}
// Until all are done.
__device__ __forceinline__ void WaitStores() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// ---- Clusters of blocks ----

// A barrier of all threads of the cluster; their shared memory is there, and
// what they wrote to it seen.
__device__ __forceinline__ void ClusterBarrier() {
  asm volatile(
      "barrier.cluster.arrive.release;\n"
      "barrier.cluster.wait.acquire;" ::
          : "memory");
}
// Writes *at of block `rank` of the cluster; its 4 bytes count on that block's
// `barrier`.
__device__ __forceinline__ void SendTo(int rank, int value, int* at,
                                       Barrier& barrier) {
  asm volatile(
      "{\n"
      ".reg .b32 to, bar;\n"
      "mapa.shared::cluster.u32 to, %0, %2;\n"
      "mapa.shared::cluster.u32 bar, %1, %2;\n"
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [to], "
      "%3, [bar];\n"
      "}\n" ::"r"(SharedAddress(at)),
      "r"(SharedAddress(&barrier.word)), "r"(rank), "r"(value)
      : "memory");
}
// One lane of the warp arrives at a block's barrier, or one at each block's,
// after all got here.
__device__ __forceinline__ void ArriveWarpAt(Barrier& barrier, int rank) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) barrier.ArriveAt(rank);
}
template <int kBlocks>
__device__ __forceinline__ void ArriveWarpAtAll(Barrier& barrier) {
  __syncwarp();
  if (threadIdx.x % 32 < kBlocks) barrier.ArriveAt(threadIdx.x % 32);
}

// A barrier of a warpgroup's 128 threads; `group` 0 to 14.
__device__ __forceinline__ void GroupBarrier(int group) {
  asm volatile("bar.sync %0, 128;" ::"r"(group + 1) : "memory");
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_PIPELINE_H_
