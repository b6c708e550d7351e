// The columns of a tile are 128 of the gate and the same 128 of up: a thread
// has both in its accumulators.
#include <algorithm>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_tensor_map.h"
#include "kernels/matmul/matmul_hopper.h"
#include "kernels/swiglu/swiglu_cuda_math.h"
#include "kernels/swiglu/swiglu_matmul_cuda.h"

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
template <int kBlocks, bool kKeep>
__global__ void __launch_bounds__(cuda::kTileThreads, 1)
    Forward(const __grid_constant__ Args a) {
  extern __shared__ __align__(1024) char memory[];
  cuda::MultiplyTiles<kBlocks>(
      memory, a.tiles,
      [&](const float(&sums)[kTileRun], int row, int tile, PanelStore& store) {
#pragma unroll
        for (int panel = 0; panel < kTileRun / kPanel; ++panel) {
          const int column = tile * kTileRun + panel * kPanel;
          // Sums of 8 columns are 4 apart; those of up follow the gate's.
          const auto pair = [&](int run, int b, int r) {
            const int at =
                run * kTileRun / 2 + panel * kPanel / 2 + 4 * b + 2 * r;
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
      });
}

template <int kBlocks, bool kKeep>
void Launch(const Args& a, cudaStream_t stream) {
  constexpr size_t kShared = sizeof(cuda::TileShared<kBlocks>);
  const auto kernel = Forward<kBlocks, kKeep>;
  CARACAL_CUDA_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const int clusters =
      std::min(cuda::Multiprocessors() / kBlocks, a.tiles.tiles());
  cuda::LaunchEarly(kernel, clusters * kBlocks, cuda::kTileThreads, kShared,
                    stream, a, kBlocks);
}

int Tiles(int64_t size, int64_t of_tile) {
  return static_cast<int>((size + of_tile - 1) / of_tile);
}

CUtensorMap MapOf(const CudaMatrix<const cuda::bf16>& m, int box_rows) {
  return CudaMatrixMap(m.data, m.rows, m.columns, m.stride, box_rows);
}

}  // namespace

bool SwigluMatMulCudaSupported() { return cuda::MajorCapability() == 9; }

void SwigluMatMulCuda(const Context& ctx, ConstTensorView x,
                      ConstTensorView weight, TensorView gate_up,
                      TensorView out, Workspace workspace,
                      const SwigluMatMulLayout& layout) {
  const auto product = CudaMatrixOf<cuda::bf16>(ConstTensorView(out));
  const int64_t rows = product.rows, F = product.columns;
  const auto input = CudaMatrixOf<cuda::bf16>(x);
  const int64_t K = input.columns;
  CARACAL_CHECK_EQ(input.rows, rows);
  CARACAL_CHECK(K >= 1) << "empty sums";
  CARACAL_CHECK(workspace.bytes >= kSwigluMatMulCudaWorkspaceBytes)
      << workspace.bytes << " bytes of workspace";
  CARACAL_CHECK(layout.cluster == 1 || layout.cluster == 2) << layout.cluster;
  const auto matrix = CudaMatrixOf<cuda::bf16>(weight, 2 * F, K);
  if (rows == 0 || F == 0) return;

  Args a = {};
  a.tiles.a = MapOf(input, cuda::kTileRows);
  a.tiles.b = MapOf(matrix, kTileRun);
  a.tiles.row_tiles = Tiles(rows, layout.cluster * cuda::kTileRows);
  a.tiles.column_tiles = Tiles(F, kTileRun);
  a.tiles.depth = Tiles(K, cuda::kTileDepth);
  a.tiles.run_step = kTileRun;
  a.tiles.run_apart = static_cast<int>(F);
  a.tiles.row_group = layout.row_group;
  a.tiles.taken = static_cast<int*>(workspace.data);
  a.out = MapOf(product, kPanel);
  const auto stream = static_cast<cudaStream_t>(ctx.stream);
  CARACAL_CUDA_CHECK(
      cudaMemsetAsync(workspace.data, 0, sizeof(*a.tiles.taken), stream));
  if (!gate_up.defined()) {
    layout.cluster == 1 ? Launch<1, false>(a, stream)
                        : Launch<2, false>(a, stream);
    return;
  }
  auto half = CudaMatrixOf<cuda::bf16>(ConstTensorView(gate_up), rows, 2 * F);
  half.columns = F;
  a.gate = MapOf(half, kPanel);
  half.data += F;
  a.up = MapOf(half, kPanel);
  layout.cluster == 1 ? Launch<1, true>(a, stream) : Launch<2, true>(a, stream);
}

}  // namespace caracal::kernels
