// Kernels that on Hopper may start while the one before them on the stream
// still runs: what they fetch before AwaitEarlier() must not be its work. For
// .cu sources only.
#ifndef CARACAL_KERNELS_COMMON_CUDA_EARLY_LAUNCH_H_
#define CARACAL_KERNELS_COMMON_CUDA_EARLY_LAUNCH_H_

#include <cuda_runtime_api.h>

#include "kernels/common/cuda_check.h"

namespace caracal::kernels::cuda {

#ifdef __CUDACC__

// Lets the next kernel on the stream start, if it was launched so.
__device__ __forceinline__ void AllowNext() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

// Every thread calls it, once: lets the next kernel on the stream start, then
// waits until all before this one are done and their writes seen.
__device__ __forceinline__ void AwaitEarlier() {
  AllowNext();
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

#endif  // __CUDACC__

// The attribute of such a launch.
inline cudaLaunchAttribute EarlyLaunch() {
  cudaLaunchAttribute early;
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  return early;
}

// Of the current device.
inline int MajorCapability() {
  int device = 0, major = 0;
  CARACAL_LAUNCHER_CHECK(cudaGetDevice(&device));
  CARACAL_LAUNCHER_CHECK(cudaDeviceGetAttribute(
      &major, cudaDevAttrComputeCapabilityMajor, device));
  return major;
}
inline int Multiprocessors() {
  int device = 0, count = 1;
  CARACAL_LAUNCHER_CHECK(cudaGetDevice(&device));
  CARACAL_LAUNCHER_CHECK(
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
  return count;
}

// Of shared memory that a block may have.
inline size_t MostSharedBytes() {
  int device = 0, bytes = 0;
  CARACAL_LAUNCHER_CHECK(cudaGetDevice(&device));
  CARACAL_LAUNCHER_CHECK(cudaDeviceGetAttribute(
      &bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  return bytes;
}

// `kernel` takes its arguments as one struct. Blocks run in clusters of so
// many, which divides the grid's width (more than one: Hopper).
template <typename Args>
void LaunchEarly(void (*kernel)(Args), dim3 grid, dim3 block, size_t shared,
                 cudaStream_t stream, const Args& args,
                 unsigned cluster_blocks = 1) {
  cudaLaunchAttribute attributes[2];
  cudaLaunchConfig_t launch = {};
  launch.gridDim = grid;
  launch.blockDim = block;
  launch.dynamicSmemBytes = shared;
  launch.stream = stream;
  launch.attrs = attributes;
  if (MajorCapability() >= 9) attributes[launch.numAttrs++] = EarlyLaunch();
  if (cluster_blocks > 1) {
    cudaLaunchAttribute& cluster = attributes[launch.numAttrs++];
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = cluster_blocks;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  }
  CARACAL_LAUNCHER_CHECK(cudaLaunchKernelEx(&launch, kernel, args));
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_COMMON_CUDA_EARLY_LAUNCH_H_
