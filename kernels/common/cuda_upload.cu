#include <algorithm>
#include <cstring>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_upload.h"

namespace caracal::kernels {
namespace {

constexpr size_t kPiece = 8192;

struct Piece {
  char bytes[kPiece];
};

__global__ void Store(const __grid_constant__ Piece piece, size_t bytes,
                      char* to) {
  cuda::AllowNext();
  for (size_t i = threadIdx.x; i < bytes; i += blockDim.x) {
    to[i] = piece.bytes[i];
  }
}

}  // namespace

void CudaUpload(const void* host, size_t bytes, void* device,
                cudaStream_t stream) {
  Piece piece;
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t count = std::min(kPiece, bytes - at);
    std::memcpy(piece.bytes, static_cast<const char*>(host) + at, count);
    Store<<<1, 256, 0, stream>>>(piece, count, static_cast<char*>(device) + at);
    CARACAL_CUDA_CHECK_LAUNCH();
  }
}

}  // namespace caracal::kernels
