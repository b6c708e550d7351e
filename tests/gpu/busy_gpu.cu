#include <new>
#include <thread>

#include "kernels/common/cuda_check.h"
#include "tests/gpu/busy_gpu.h"

namespace caracal {

struct BusyGpu::Words {
  volatile unsigned begun = 0, released = 0;
};

namespace {

// Divides what any chip's multiprocessors take: 1,536 or 2,048.
constexpr int kThreads = 512;

__global__ void __launch_bounds__(kThreads)
    Occupy(volatile unsigned* begun, const volatile unsigned* released) {
  if (threadIdx.x == 0) {
    atomicAdd_system(const_cast<unsigned*>(begun), 1u);
  }
  while (*released == 0) __nanosleep(1000);
}

int Attribute(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  CARACAL_CUDA_CHECK(cudaGetDevice(&device));
  CARACAL_CUDA_CHECK(cudaDeviceGetAttribute(&value, attribute, device));
  return value;
}

}  // namespace

BusyGpu::BusyGpu() {
  void* memory = nullptr;
  CARACAL_CUDA_CHECK(
      cudaHostAlloc(&memory, sizeof(Words), cudaHostAllocMapped));
  words_ = new (memory) Words;
  int least = 0, greatest = 0;
  CARACAL_CUDA_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  CARACAL_CUDA_CHECK(
      cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, greatest));
  const int blocks =
      Attribute(cudaDevAttrMultiProcessorCount) *
      (Attribute(cudaDevAttrMaxThreadsPerMultiProcessor) / kThreads);
  Occupy<<<blocks, kThreads, 0, stream_>>>(&words_->begun, &words_->released);
  CARACAL_CUDA_CHECK(cudaGetLastError());
  // What runs yet ends first.
  while (words_->begun < static_cast<unsigned>(blocks)) {
    std::this_thread::yield();
  }
}

BusyGpu::~BusyGpu() {
  words_->released = 1;
  CARACAL_CUDA_CHECK(cudaStreamSynchronize(stream_));
  CARACAL_CUDA_CHECK(cudaStreamDestroy(stream_));
  CARACAL_CUDA_CHECK(cudaFreeHost(words_));
}

}  // namespace caracal
