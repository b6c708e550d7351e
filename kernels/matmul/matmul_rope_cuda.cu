// A tile's columns are whole heads: a thread has both elements of a pair in its
// accumulators.
#include "kernels/common/matrix_view.h"
#include "kernels/matmul/matmul_hopper.h"
#include "kernels/matmul/matmul_rope_cuda.h"
#include "kernels/rope/rope_cuda_math.h"

namespace caracal::kernels {
namespace {

using cuda::kTileColumns;
using cuda::kTilePanel;
using cuda::TileArgs;
using cuda::TilePanels;

struct Args {
  TileArgs tiles;
  CUtensorMap y;  // in panels
  int rows;
  int rotated;  // columns
  const int32_t* positions;
  const float *cos, *sin;
};

// Rounded to bf16, as a product is that is stored.
__device__ __forceinline__ float Rounded(float x) {
  return __bfloat162float(__float2bfloat16_rn(x));
}

template <int D>
struct Finish {
  const Args& a;

  static constexpr bool kTransposed = false;
  static constexpr int kStored = 2,
                       kSteps = kTileColumns / kTilePanel / kStored;
  static constexpr int kBrought = 0;
  __device__ __forceinline__ void Bring(int, int, int, const TilePanels&,
                                        cuda::Barrier&) const {}

  static constexpr int kHalf = D / 2;
  struct Held {
    float2 cos[2][kHalf / 8], sin[2][kHalf / 8];  // two columns each
  };
  __device__ __forceinline__ Held Fetch(int row, int tile) const {
    Held held = {};
    if (tile * kTileColumns >= a.rotated) return held;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int at = min(row + cuda::ThreadRow() + 8 * r, a.rows - 1);
      const int64_t first =
          int64_t{__ldg(a.positions + at)} * kHalf + cuda::ThreadColumn();
#pragma unroll
      for (int b = 0; b < kHalf / 8; ++b) {
        const auto load = [&](const float* table) {
          return __ldg(reinterpret_cast<const float2*>(table + first + 8 * b));
        };
        held.cos[r][b] = load(a.cos);
        held.sin[r][b] = load(a.sin);
      }
    }
    return held;
  }

  template <int kStep>
  __device__ __forceinline__ void Make(float (&sums)[kTileColumns / 2],
                                       const Held& held, int tile,
                                       const TilePanels& panels) const {
    const int column = tile * kTileColumns;
    if (kStep == 0 && column < a.rotated) Rotate(held, column, sums);
#pragma unroll
    for (int i = 0; i < kStored; ++i) {
      panels.Put(i, [&](int b, int r) {
        const int at = (kStep * kStored + i) * kTilePanel / 2 + 4 * b + 2 * r;
        return cuda::PackBf16(sums[at], sums[at + 1]);
      });
    }
  }

  template <int kStep>
  __device__ __forceinline__ void Store(int row, int tile,
                                        const TilePanels& panels) const {
#pragma unroll
    for (int i = 0; i < kStored; ++i) {
      const int panel = kStep * kStored + i;
      cuda::StoreMatrixBox(a.y, panels.At(i),
                           tile * kTileColumns + panel * kTilePanel, row);
    }
  }

  // The heads that are to be.
  __device__ __forceinline__ void Rotate(
      const Held& held, int column, float (&sums)[kTileColumns / 2]) const {
#pragma unroll
    for (int head = 0; head < kTileColumns / D; ++head) {
      if (column + head * D >= a.rotated) continue;
#pragma unroll
      for (int i = 0; i < kHalf / 2; ++i) {
        const int r = i % 4 / 2, b = i / 4;
        const float2 cos = held.cos[r][b], sin = held.sin[r][b];
        float& low = sums[head * kHalf + i];
        float& high = sums[head * kHalf + kHalf / 2 + i];
        low = Rounded(low);
        high = Rounded(high);
        cuda::RotatePair(i % 2 == 0 ? cos.x : cos.y, i % 2 == 0 ? sin.x : sin.y,
                         low, high);
      }
    }
  }
};

template <int D>
__global__ void __launch_bounds__(cuda::kTileThreads, 1)
    Forward(const __grid_constant__ Args a) {
  extern __shared__ __align__(1024) char memory[];
  cuda::MultiplyTiles(memory, a.tiles, Finish<D>{a});
}

}  // namespace

bool MatMulRopeCudaSupported(int64_t D) {
  return (D == 64 || D == 128) && cuda::MajorCapability() == 9;
}

bool MatMulRopeCudaSuits(int64_t rows, int64_t N, int64_t D) {
  return MatMulRopeCudaSupported(D) && cuda::SuitsTiles(rows, N);
}

void MatMulRopeCuda(const Context& ctx, ConstTensorView x,
                    ConstTensorView weight, int64_t heads,
                    ConstTensorView positions, ConstTensorView cos,
                    ConstTensorView sin, TensorView y, Workspace tiles) {
  const auto product = CudaMatrixOf<cuda::bf16>(ConstTensorView(y));
  const auto input = CudaMatrixOf<cuda::bf16>(x);
  const int64_t rows = product.rows, N = product.columns, K = input.columns;
  CARACAL_CHECK_EQ(input.rows, rows);
  CARACAL_CHECK(K >= 1) << "empty sums";
  const auto matrix = CudaMatrixOf<cuda::bf16>(weight, N, K);
  const auto cosines = CudaMatrixOf<float>(cos);
  const int64_t D = 2 * cosines.columns;
  const auto sines = CudaMatrixOf<float>(sin, cosines.rows, D / 2);
  CARACAL_CHECK(cos.contiguous() && sin.contiguous());
  CARACAL_CHECK(D == 64 || D == 128) << "head dimension " << D;
  CARACAL_CHECK(heads >= 0 && heads * D <= N)
      << heads << " heads in " << N << " columns";
  if (rows == 0 || N == 0) return;
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Args a = {};
  a.tiles = cuda::TileArgsOf(input, matrix, /*transposed=*/false,
                             cuda::TilesOf(N, kTileColumns),
                             /*run_step=*/kTileColumns,
                             /*run_apart=*/cuda::kTileRun, tiles);
  a.y = cuda::BoxMapOf(product, kTilePanel);
  a.rows = static_cast<int>(rows);
  a.rotated = static_cast<int>(heads * D);
  a.positions = VectorOf<int32_t>(positions, rows);
  a.cos = cosines.data;
  a.sin = sines.data;
  cuda::LaunchTiles(D == 64 ? Forward<64> : Forward<128>, a.tiles, a, stream);
}

}  // namespace caracal::kernels
