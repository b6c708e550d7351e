// Warpgroup products in all the ways kernels use them, against sums in fp64.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/common/cuda_wgmma.h"
#include "kernels/common/kernel_testing.h"

namespace caracal::kernels::cuda {
namespace {

using ::caracal::testing::DeviceArray;
using ::caracal::testing::RoundToBf16;
using ::caracal::testing::Uniform;

enum class A { kKMajor, kMnMajor, kRegisters };

// c [64, N] = a b. Dense inputs: a [64, K] or [K, 64], b [N, K] or [K, N].
template <int N, int K, A a_kind, bool b_mn>
__global__ void Product(const __nv_bfloat16* a, const __nv_bfloat16* b,
                        float* c) {
  extern __shared__ __align__(1024) char shared[];
  const auto store = [&](char* tile, const __nv_bfloat16* from, int rows,
                         int columns) {
    for (int i = threadIdx.x; i < rows * columns; i += blockDim.x) {
      *reinterpret_cast<__nv_bfloat16*>(
          tile + TileOffset(rows * 128, i / columns, i % columns)) = from[i];
    }
  };
  char* b_tile = shared + 64 * K * 2;
  store(shared, a, a_kind == A::kMnMajor ? K : 64,
        a_kind == A::kMnMajor ? 64 : K);
  store(b_tile, b, b_mn ? K : N, b_mn ? N : K);
  FenceShared();
  __syncthreads();
  float d[N / 2];
  for (float& x : d) x = 100;  // must be overwritten
  const uint32_t at = SharedAddress(shared), b_at = SharedAddress(b_tile);
  const auto multiply = [&](auto operand_b) {
    Pin(d);
    WgmmaFence();
    if constexpr (a_kind == A::kKMajor) {
      Multiply<K>(d, KMajor{at, 64 * 128}, operand_b, false);
    } else if constexpr (a_kind == A::kMnMajor) {
      Multiply<K>(d, MnMajor{at, K * 128}, operand_b, false);
    } else {
      uint32_t registers[K / 16][4];
      const int row = threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
      for (int i = 0; i < K / 16; ++i) {
        for (int j = 0; j < 4; ++j) {
          registers[i][j] = *reinterpret_cast<const uint32_t*>(
              a + (row + j % 2 * 8) * K + 16 * i + j / 2 * 8 +
              threadIdx.x % 4 * 2);
        }
      }
      Multiply<K>(d, registers, operand_b, false);
    }
    WgmmaCommit();
    WgmmaWait();
    Pin(d);
  };
  if constexpr (b_mn) {
    multiply(MnMajor{b_at, K * 128});
  } else {
    multiply(KMajor{b_at, N * 128});
  }
  for (int i = 0; i < N / 2; ++i) {
    const int row =
        threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4 + i % 4 / 2 * 8;
    const int column = i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2;
    c[row * N + column] = d[i];
  }
}

template <int N, int K, A a_kind, bool b_mn>
void Check() {
  SCOPED_TRACE(::testing::Message()
               << "N " << N << ", K " << K << ", A " << static_cast<int>(a_kind)
               << ", B " << b_mn);
  Uniform random(N + K);
  std::vector<float> a(64 * K), b(N * K);
  std::vector<uint16_t> a_bits, b_bits;
  for (float& x : a) a_bits.push_back(Bf16FromFloat(x = RoundToBf16(random())));
  for (float& x : b) b_bits.push_back(Bf16FromFloat(x = RoundToBf16(random())));
  const DeviceArray<uint16_t> device_a(a_bits), device_b(b_bits);
  const DeviceArray<float> c(64 * N);
  const auto kernel = Product<N, K, a_kind, b_mn>;
  const size_t bytes = (64 + std::max(N, 64)) * K * 2;  // whole panels
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<1, 128, bytes>>>(
      reinterpret_cast<const __nv_bfloat16*>(device_a.data()),
      reinterpret_cast<const __nv_bfloat16*>(device_b.data()), c.data());
  CARACAL_CUDA_CHECK_LAUNCH();
  CARACAL_CUDA_CHECK(cudaDeviceSynchronize());
  const std::vector<float> got = c.Host();
  double most = 0;
  for (int m = 0; m < 64; ++m) {
    for (int n = 0; n < N; ++n) {
      double sum = 0;
      for (int k = 0; k < K; ++k) {
        sum += double{a_kind == A::kMnMajor ? a[k * 64 + m] : a[m * K + k]} *
               (b_mn ? b[k * N + n] : b[n * K + k]);
      }
      const double off = std::fabs(got[m * N + n] - sum);
      most = std::isnan(off) ? HUGE_VAL : std::fmax(most, off);
    }
  }
  // Products are exact in fp32; a sum of K of them, each at most 1.
  EXPECT_LE(most, K * K * caracal::testing::kUnitRoundoff);
}

TEST(CudaWgmma, ProductsOfAllKinds) {
  Check<64, 64, A::kKMajor, false>();
  Check<64, 128, A::kKMajor, false>();
  Check<64, 128, A::kKMajor, true>();
  Check<128, 64, A::kKMajor, false>();
  Check<128, 64, A::kKMajor, true>();
  Check<128, 128, A::kMnMajor, true>();
  Check<64, 64, A::kMnMajor, true>();
  Check<64, 64, A::kMnMajor, false>();
  Check<64, 128, A::kRegisters, false>();
  Check<128, 64, A::kRegisters, true>();
  Check<128, 128, A::kRegisters, true>();
  Check<64, 64, A::kRegisters, true>();
  Check<8, 128, A::kRegisters, false>();
  Check<16, 128, A::kKMajor, false>();
  Check<16, 64, A::kMnMajor, true>();
  Check<256, 64, A::kKMajor, false>();
}

}  // namespace
}  // namespace caracal::kernels::cuda
