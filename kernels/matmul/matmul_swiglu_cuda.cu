// Forward, the columns of a tile are 128 of the gate and the same 128 of up: a
// thread has both in its accumulators. Backward they are 256 of the result's
// gradient; slopes come to where the gradients are stored from.
#include "kernels/common/cuda_matrix.h"
#include "kernels/matmul/matmul_hopper.h"
#include "kernels/matmul/matmul_swiglu_cuda.h"
#include "kernels/swiglu/swiglu_cuda_math.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::kTileColumns;
using cuda::kTilePanel;
using cuda::kTileRun;
using cuda::PackBf16;
using cuda::TileArgs;
using cuda::TilePanels;

struct Args {
  TileArgs tiles;
  CUtensorMap gate_slope, up_slope, out;  // in panels
};

// Of bf16 pairs.
__device__ __forceinline__ float Low(uint32_t x) {
  return __uint_as_float(x << 16);
}
__device__ __forceinline__ float High(uint32_t x) {
  return __uint_as_float(x & 0xffff0000u);
}

// kKeep: slopes are stored, too.
template <bool kKeep>
struct Forward {
  const Args& a;

  static constexpr bool kTransposed = false;
  static constexpr int kPanels = kTileRun / kTilePanel;  // of the result
  static constexpr int kSteps = kKeep ? kPanels : 1;
  static constexpr int kOfStep = kPanels / kSteps;
  static constexpr int kStored = (kKeep ? 3 : 1) * kOfStep, kBrought = 0;
  __device__ __forceinline__ void Bring(int, int, int, const TilePanels&,
                                        cuda::Barrier&) const {}

  struct Held {};
  __device__ __forceinline__ Held Fetch(int, int) const { return {}; }

  template <int kStep>
  __device__ __forceinline__ void Make(const float (&sums)[kTileColumns / 2],
                                       const Held&, int,
                                       const TilePanels& panels) const {
#pragma unroll
    for (int i = 0; i < kOfStep; ++i) {
      // Sums of 8 columns are 4 apart; those of up follow the gate's.
      const int first = (kStep * kOfStep + i) * kTilePanel / 2;
      uint32_t of_gate[8][2], of_up[8][2];
      panels.Put(i, [&](int b, int r) {
        const int at = first + 4 * b + 2 * r, up_at = at + kTileRun / 2;
        const uint32_t gate = PackBf16(sums[at], sums[at + 1]);
        const uint32_t up = PackBf16(sums[up_at], sums[up_at + 1]);
        if constexpr (!kKeep) {
          return PackBf16(cuda::Swiglu(Low(gate), Low(up)),
                          cuda::Swiglu(High(gate), High(up)));
        }
        float g[2], u[2];
        const float low = cuda::SwigluAndSlopes(Low(gate), Low(up), g[0], u[0]);
        const float high =
            cuda::SwigluAndSlopes(High(gate), High(up), g[1], u[1]);
        of_gate[b][r] = PackBf16(g[0], g[1]);
        of_up[b][r] = PackBf16(u[0], u[1]);
        return PackBf16(low, high);
      });
      if constexpr (kKeep) {
        panels.Put(1, [&](int b, int r) { return of_gate[b][r]; });
        panels.Put(2, [&](int b, int r) { return of_up[b][r]; });
      }
    }
  }

  template <int kStep>
  __device__ __forceinline__ void Store(int row, int tile,
                                        const TilePanels& panels) const {
#pragma unroll
    for (int i = 0; i < kOfStep; ++i) {
      const int column = tile * kTileRun + (kStep * kOfStep + i) * kTilePanel;
      cuda::StoreMatrixBox(a.out, panels.At(i), column, row);
      if constexpr (kKeep) {
        cuda::StoreMatrixBox(a.gate_slope, panels.At(1), column, row);
        cuda::StoreMatrixBox(a.up_slope, panels.At(2), column, row);
      }
    }
  }
};

struct Backward {
  const Args& a;

  static constexpr bool kTransposed = true;
  static constexpr int kSteps = kTileColumns / kTilePanel;
  static constexpr int kStored = 2, kBrought = 2;

  static __device__ __forceinline__ int Column(int tile, int step) {
    return tile * kTileColumns + step * kTilePanel;
  }
  __device__ __forceinline__ void Bring(int step, int row, int tile,
                                        const TilePanels& panels,
                                        cuda::Barrier& full) const {
    LoadMatrixBox(a.gate_slope, panels.At(0), Column(tile, step), row, full);
    LoadMatrixBox(a.up_slope, panels.At(1), Column(tile, step), row, full);
  }

  struct Held {};
  __device__ __forceinline__ Held Fetch(int, int) const { return {}; }

  template <int kStep>
  __device__ __forceinline__ void Make(const float (&sums)[kTileColumns / 2],
                                       const Held&, int,
                                       const TilePanels& panels) const {
#pragma unroll
    for (int b = 0; b < kTilePanel / 8; b += 2) {
      uint32_t gate[4], up[4];
      cuda::LoadMatrices(panels.At(0, b), gate);
      cuda::LoadMatrices(panels.At(1, b), up);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // Words as Put() has them: of two rows, then of the next columns.
        const int at = kStep * kTilePanel / 2 + 4 * (b + i / 2) + 2 * (i % 2);
        const float low = sums[at], high = sums[at + 1];
        gate[i] = PackBf16(low * Low(gate[i]), high * High(gate[i]));
        up[i] = PackBf16(low * Low(up[i]), high * High(up[i]));
      }
      cuda::StoreMatrices(panels.At(0, b), gate[0], gate[1], gate[2], gate[3]);
      cuda::StoreMatrices(panels.At(1, b), up[0], up[1], up[2], up[3]);
    }
  }

  template <int kStep>
  __device__ __forceinline__ void Store(int row, int tile,
                                        const TilePanels& panels) const {
    cuda::StoreMatrixBox(a.gate_slope, panels.At(0), Column(tile, kStep), row);
    cuda::StoreMatrixBox(a.up_slope, panels.At(1), Column(tile, kStep), row);
  }
};

template <typename Finish>
__global__ void __launch_bounds__(cuda::kTileThreads, 1)
    Product(const __grid_constant__ Args a) {
  extern __shared__ __align__(1024) char memory[];
  cuda::MultiplyTiles(memory, a.tiles, Finish{a});
}

void MapSlopes(TensorView slopes, int64_t rows, int64_t F, Args& a) {
  CARACAL_CHECK(F % 8 == 0) << "F " << F << ", wanted a multiple of 8";
  auto half = CudaMatrixOf<bf16>(ConstTensorView(slopes), rows, 2 * F);
  half.columns = F;
  a.gate_slope = cuda::BoxMapOf(half, kTilePanel);
  half.data += F;
  a.up_slope = cuda::BoxMapOf(half, kTilePanel);
}

}  // namespace

bool MatMulSwigluCudaSupported() { return cuda::MajorCapability() == 9; }

bool MatMulSwigluCudaSuits(int64_t rows, int64_t F) {
  return cuda::SuitsTiles(rows, 2 * F);
}

void MatMulSwigluCuda(const Context& ctx, ConstTensorView x,
                      ConstTensorView weight, TensorView slopes, TensorView out,
                      Workspace tiles) {
  const auto product = CudaMatrixOf<bf16>(ConstTensorView(out));
  const int64_t rows = product.rows, F = product.columns;
  const auto input = CudaMatrixOf<bf16>(x);
  const int64_t K = input.columns;
  CARACAL_CHECK_EQ(input.rows, rows);
  CARACAL_CHECK(K >= 1) << "empty sums";
  const auto matrix = CudaMatrixOf<bf16>(weight, 2 * F, K);
  if (rows == 0 || F == 0) return;

  Args a = {};
  a.tiles = cuda::TileArgsOf(input, matrix, /*transposed=*/false,
                             cuda::TilesOf(F, kTileRun),
                             /*run_step=*/kTileRun,
                             /*run_apart=*/static_cast<int>(F), tiles);
  a.out = cuda::BoxMapOf(product, kTilePanel);
  if (slopes.defined()) MapSlopes(slopes, rows, F, a);
  cuda::LaunchTiles(
      slopes.defined() ? Product<Forward<true>> : Product<Forward<false>>,
      a.tiles, a, static_cast<cudaStream_t>(ctx.stream));
}

bool MatMulSwigluBackwardCudaSuits(int64_t rows, int64_t F) {
  return cuda::SuitsTiles(rows, F);
}

void MatMulSwigluBackwardCuda(const Context& ctx, ConstTensorView dy,
                              ConstTensorView weight, TensorView slopes,
                              Workspace tiles) {
  const auto gradient = CudaMatrixOf<bf16>(dy);
  const int64_t rows = gradient.rows, K = gradient.columns;
  const auto matrix = CudaMatrixOf<bf16>(weight);
  const int64_t F = matrix.columns;
  CARACAL_CHECK_EQ(matrix.rows, K);
  CARACAL_CHECK(K >= 1) << "empty sums";
  Args a = {};
  if (rows == 0 || F == 0) return;
  MapSlopes(slopes, rows, F, a);
  a.tiles = cuda::TileArgsOf(gradient, matrix, /*transposed=*/true,
                             cuda::TilesOf(F, kTileColumns),
                             /*run_step=*/kTileColumns,
                             /*run_apart=*/kTileRun, tiles);
  cuda::LaunchTiles(Product<Backward>, a.tiles, a,
                    static_cast<cudaStream_t>(ctx.stream));
}

}  // namespace caracal::kernels
