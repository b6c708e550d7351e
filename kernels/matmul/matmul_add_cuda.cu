// What is added comes to registers while a tile's last products go on.
#include "kernels/common/matrix_view.h"
#include "kernels/matmul/matmul_add_cuda.h"
#include "kernels/matmul/matmul_hopper.h"

namespace caracal::kernels {
namespace {

using cuda::bf16;
using cuda::kTileColumns;
using cuda::PackBf16;
using cuda::PanelStore;

constexpr int kPanel = 64;  // rows and columns that are stored together

struct Args {
  cuda::TileArgs tiles;
  CUtensorMap y, scaled;  // in panels
  CudaMatrix<const bf16> add;
  const float* weight;  // of the norm
  float* squares;       // [rows, parts]
  int parts;
};

__device__ __forceinline__ float Low(uint32_t pair) {
  return __uint_as_float(pair << 16);
}
__device__ __forceinline__ float High(uint32_t pair) {
  return __uint_as_float(pair & 0xffff0000u);
}

// kNorm: a norm follows.
template <bool kNorm>
struct Finish {
  const Args& a;

  // Pairs of columns, as accumulators have them.
  static constexpr int kPairs = kTileColumns / 8;
  struct Held {
    uint32_t pairs[2][kPairs];
    float2 weight;  // of two columns a thread
  };
  __device__ __forceinline__ Held Fetch(int row, int tile) const {
    Held held;
    const int first = tile * kTileColumns + cuda::ThreadColumn();
    const bool whole = (tile + 1) * kTileColumns <= a.add.columns;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int64_t at = min(int64_t{row} + cuda::ThreadRow() + 8 * r,
                             a.add.rows - 1);  // or nobody's
      const bf16* const from = a.add.row(at) + first;
#pragma unroll
      for (int b = 0; b < kPairs; ++b) {
        held.pairs[r][b] = 0;
        // Not past the L1 cache: neighbours read the rest of a sector.
        if (whole || first + 8 * b < a.add.columns) {
          held.pairs[r][b] = *reinterpret_cast<const uint32_t*>(from + 8 * b);
        }
      }
    }
    if constexpr (kNorm) {
      const int at = tile * kTileColumns + threadIdx.x % cuda::kGroup * 2;
      held.weight = at < a.add.columns
                        ? __ldg(reinterpret_cast<const float2*>(a.weight + at))
                        : float2{0, 0};
    }
    return held;
  }

  __device__ __forceinline__ void operator()(
      const float (&sums)[kTileColumns / 2], const Held& held, int row,
      int tile, PanelStore& store) const {
    float squares[2] = {0, 0};
    auto* const weights = reinterpret_cast<float2*>(store.columns);
    // Read after the first store's barriers, by the group alone.
    if constexpr (kNorm) weights[threadIdx.x % cuda::kGroup] = held.weight;
#pragma unroll
    for (int panel = 0; panel < kTileColumns / kPanel; ++panel) {
      const int column = tile * kTileColumns + panel * kPanel;
      uint32_t pairs[8][2];
#pragma unroll
      for (int b = 0; b < 8; ++b) {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const int at = panel * kPanel / 2 + 4 * b + 2 * r;
          const uint32_t add = held.pairs[r][8 * panel + b];
          pairs[b][r] = PackBf16(sums[at] + Low(add), sums[at + 1] + High(add));
        }
      }
      store(a.y, row, column, [&](int b, int r) { return pairs[b][r]; });
      if constexpr (kNorm) {
#pragma unroll
        for (int b = 0; b < 8; ++b) {
          const float2 weight =
              weights[(panel * kPanel + 8 * b + cuda::ThreadColumn()) / 2];
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const float low = Low(pairs[b][r]), high = High(pairs[b][r]);
            squares[r] += low * low + high * high;
            pairs[b][r] = PackBf16(low * weight.x, high * weight.y);
          }
        }
        store(a.scaled, row, column, [&](int b, int r) { return pairs[b][r]; });
      }
    }
    if constexpr (kNorm) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int64_t at = row + cuda::ThreadRow() + 8 * r;
        const float sum = cuda::QuadSum(squares[r]);
        if (threadIdx.x % 4 == 0 && at < a.add.rows) {
          a.squares[at * a.parts + tile] = sum;
        }
      }
    }
  }
};

template <bool kNorm>
__global__ void __launch_bounds__(cuda::kTileThreads, 1)
    Forward(const __grid_constant__ Args a) {
  extern __shared__ __align__(1024) char memory[];
  cuda::MultiplyTiles(memory, a.tiles, Finish<kNorm>{a});
}

}  // namespace

bool MatMulAddCudaSupported() { return cuda::MajorCapability() == 9; }

bool MatMulAddCudaSuits(int64_t rows, int64_t N) {
  return cuda::SuitsTiles(rows, N);
}

void MatMulAddCuda(const Context& ctx, ConstTensorView x,
                   ConstTensorView weight, ConstTensorView add, TensorView y,
                   const NormOutput& norm, Workspace workspace) {
  const auto product = CudaMatrixOf<bf16>(ConstTensorView(y));
  const auto input = CudaMatrixOf<bf16>(x);
  const int64_t rows = product.rows, N = product.columns, K = input.columns;
  CARACAL_CHECK_EQ(input.rows, rows);
  CARACAL_CHECK(K >= 1) << "empty sums";
  CARACAL_CHECK(N % 8 == 0) << N << " columns, wanted a multiple of 8";
  const auto matrix = CudaMatrixOf<bf16>(weight, N, K);
  CARACAL_CHECK(workspace.bytes >= kMatMulAddCudaWorkspaceBytes)
      << workspace.bytes << " bytes of workspace";
  const bool with_norm = norm.scaled.defined();
  Args a = {};
  a.add = CudaMatrixOf<bf16>(add, rows, N);
  if (rows == 0 || N == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  a.tiles = cuda::TileArgsOf(
      input, matrix, cuda::TilesOf(N, kTileColumns), /*run_step=*/kTileColumns,
      /*run_apart=*/cuda::kTileRun, static_cast<int*>(workspace.data), stream);
  a.y = cuda::BoxMapOf(product, kPanel);
  if (with_norm) {
    a.scaled = cuda::BoxMapOf(
        CudaMatrixOf<bf16>(ConstTensorView(norm.scaled), rows, N), kPanel);
    a.weight = VectorOf<float>(norm.weight, N);
    a.squares = cuda::SquaresOf(norm.squares, rows, N);
    a.parts = static_cast<int>(NormPartsOf(N));
  }
  cuda::LaunchTiles(with_norm ? Forward<true> : Forward<false>, a.tiles, a,
                    stream);
}

}  // namespace caracal::kernels
