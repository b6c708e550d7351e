// The columns of a tile are 128 of the gate and the same 128 of up: a thread
// has both in its accumulators.
#include "kernels/common/cuda_matrix.h"
#include "kernels/matmul/matmul_hopper.h"
#include "kernels/matmul/matmul_swiglu_cuda.h"
#include "kernels/swiglu/swiglu_cuda_math.h"

namespace caracal::kernels {
namespace {

using cuda::kTileRun;
using cuda::PackBf16;
using cuda::PanelStore;
using cuda::TileArgs;

constexpr int kPanel = 64;  // rows and columns that are stored together

struct Args {
  TileArgs tiles;
  CUtensorMap gate, up, out;  // in panels
};

// Of bf16 pairs.
__device__ __forceinline__ uint32_t SwigluPair(uint32_t gate, uint32_t up) {
  const auto low = [](uint32_t x) { return __uint_as_float(x << 16); };
  const auto high = [](uint32_t x) { return __uint_as_float(x & 0xffff0000u); };
  return PackBf16(cuda::Swiglu(low(gate), low(up)),
                  cuda::Swiglu(high(gate), high(up)));
}

// kKeep: gate and up are stored, too.
template <bool kKeep>
struct Finish {
  const Args& a;

  struct Held {};
  __device__ __forceinline__ Held Fetch(int, int) const { return {}; }

  __device__ __forceinline__ void operator()(
      const float (&sums)[cuda::kTileColumns / 2], const Held&, int row,
      int tile, PanelStore& store) const {
#pragma unroll
    for (int panel = 0; panel < kTileRun / kPanel; ++panel) {
      const int column = tile * kTileRun + panel * kPanel;
      // Sums of 8 columns are 4 apart; those of up follow the gate's.
      const auto pair = [&](int run, int b, int r) {
        const int at = run * kTileRun / 2 + panel * kPanel / 2 + 4 * b + 2 * r;
        return PackBf16(sums[at], sums[at + 1]);
      };
      const auto gate = [&](int b, int r) { return pair(0, b, r); };
      const auto up = [&](int b, int r) { return pair(1, b, r); };
      if constexpr (kKeep) {
        store(a.gate, row, column, gate);
        store(a.up, row, column, up);
      }
      store(a.out, row, column,
            [&](int b, int r) { return SwigluPair(gate(b, r), up(b, r)); });
    }
  }
};

template <bool kKeep>
__global__ void __launch_bounds__(cuda::kTileThreads, 1)
    Forward(const __grid_constant__ Args a) {
  extern __shared__ __align__(1024) char memory[];
  cuda::MultiplyTiles(memory, a.tiles, Finish<kKeep>{a});
}

}  // namespace

bool MatMulSwigluCudaSupported() { return cuda::MajorCapability() == 9; }

bool MatMulSwigluCudaSuits(int64_t rows, int64_t F) {
  return cuda::SuitsTiles(rows, 2 * F);
}

void MatMulSwigluCuda(const Context& ctx, ConstTensorView x,
                      ConstTensorView weight, TensorView gate_up,
                      TensorView out, Workspace workspace) {
  const auto product = CudaMatrixOf<cuda::bf16>(ConstTensorView(out));
  const int64_t rows = product.rows, F = product.columns;
  const auto input = CudaMatrixOf<cuda::bf16>(x);
  const int64_t K = input.columns;
  CARACAL_CHECK_EQ(input.rows, rows);
  CARACAL_CHECK(K >= 1) << "empty sums";
  CARACAL_CHECK(workspace.bytes >= kMatMulSwigluCudaWorkspaceBytes)
      << workspace.bytes << " bytes of workspace";
  const auto matrix = CudaMatrixOf<cuda::bf16>(weight, 2 * F, K);
  if (rows == 0 || F == 0) return;

  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  Args a = {};
  a.tiles = cuda::TileArgsOf(input, matrix, cuda::TilesOf(F, kTileRun),
                             /*run_step=*/kTileRun,
                             /*run_apart=*/static_cast<int>(F),
                             static_cast<int*>(workspace.data), stream);
  a.out = cuda::BoxMapOf(product, kPanel);
  if (gate_up.defined()) {
    CARACAL_CHECK(F % 8 == 0) << "F " << F << ", wanted a multiple of 8";
    auto half = CudaMatrixOf<cuda::bf16>(ConstTensorView(gate_up), rows, 2 * F);
    half.columns = F;
    a.gate = cuda::BoxMapOf(half, kPanel);
    half.data += F;
    a.up = cuda::BoxMapOf(half, kPanel);
  }
  cuda::LaunchTiles(gate_up.defined() ? Forward<true> : Forward<false>, a.tiles,
                    a, stream);
}

}  // namespace caracal::kernels
