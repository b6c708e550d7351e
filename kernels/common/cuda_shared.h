// Shared memory as instructions from compute capability 8.0 on see it: its
// addresses, fragments of tiles, copies that go on beside the threads. For .cu
// sources only. Formats: PTX ISA 8.0, "ldmatrix", "cp.async".
#ifndef CARACAL_KERNELS_COMMON_CUDA_SHARED_H_
#define CARACAL_KERNELS_COMMON_CUDA_SHARED_H_

#include <cstdint>

namespace caracal::kernels::cuda {

__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four 8 x 8 matrices of 2-byte elements, a word of each to every thread (as a
// warp's accumulators have them); lane i says where row i % 8 of matrix i / 8
// lies.
__device__ __forceinline__ void LoadMatrices(uint32_t from, uint32_t (&w)[4]) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
      : "r"(from)
      : "memory");
}
// The same of each matrix's transpose.
__device__ __forceinline__ void LoadTransposed(uint32_t from,
                                               uint32_t (&w)[4]) {
  asm volatile(
      "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
      : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3])
      : "r"(from)
      : "memory");
}

// 16 bytes from global to shared memory; zeros if not `valid`.
__device__ __forceinline__ void CopyAsync(uint32_t to, const void* from,
                                          bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void CopyCommit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int kLeft = 0>
__device__ __forceinline__ void CopyWait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_SHARED_H_
