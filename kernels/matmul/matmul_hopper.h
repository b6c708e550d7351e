// A matrix product C = A B^T on Hopper, what is done with C's tiles left to
// whoever includes it: work that follows on a product's result then costs no
// pass over memory. Included only by sources compiled for sm_90a.
//
//   A [rows, K], B [columns, K] bf16, sums in fp32
//
// A block stays and takes one tile of 128 rows and 256 columns after another,
// the next that nobody has taken: who takes which does not show in the results.
// A warpgroup of which one thread works brings 64 columns of A and B at a time
// by the copy engine; two more have 64 rows of the tile each. Blocks of a
// cluster have tiles one below the other, and each brings its part of B for
// all.
//
// B's 256 rows are two runs of 128, which need not lie one after the other. B
// may be stored as [K, columns] instead.
//
// A tile is finished out of the stages that bring A and B, whose turn it is:
// what finishing reads besides the sums comes there, and what it makes is
// stored from there, while the next tile's first columns are on their way to
// the others.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_HOPPER_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_HOPPER_H_

#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/common/context.h"
#include "kernels/common/cuda_accumulators.h"
#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_matrix.h"
#include "kernels/common/cuda_pipeline.h"
#include "kernels/common/cuda_tensor_map.h"
#include "kernels/matmul/matmul_tiles.h"

namespace caracal::kernels::cuda {

inline constexpr int kTileRows = 128;
inline constexpr int kTileRun = 128;  // rows of B that lie together
inline constexpr int kTileColumns = 2 * kTileRun;
inline constexpr int kTileDepth = 64;  // columns of A and B at a time
inline constexpr int kTileConsumers = 2;
inline constexpr int kTileThreads = (1 + kTileConsumers) * kGroup;
inline constexpr int kTileStages = 4;
inline constexpr int kTileFetchAhead = 8;  // steps of kTileDepth
inline constexpr int kTileBlocks = 2;      // of a cluster; one run of B each
// Rows and columns that finishing reads and stores together.
inline constexpr int kTilePanel = 64;
// So many row tiles of a cluster are gone through together, column by column:
// their rows of A stay in the L2 cache, and B is read once for all of them.
inline constexpr int kTileRowGroup = 8;

// Operands, and which tiles there are.
struct TileArgs {
  CUtensorMap a;  // in boxes of kTileRows rows
  CUtensorMap b;  // of kTileRun rows; [K, columns]: of kTileDepth
  int row_tiles;  // of a cluster: 128 rows for each of its blocks
  int column_tiles;
  int depth;  // of K, in kTileDepth
  // Where column tile j's runs begin: j run_step, and run_apart after that.
  int run_step, run_apart;
  unsigned* taken;  // 0, and again when all are done

  __host__ __device__ int tiles() const { return row_tiles * column_tiles; }
};

struct Tile {
  int row, column;  // in tiles
};
__device__ __forceinline__ Tile TileAt(const TileArgs& a, int number) {
  const int of_group = kTileRowGroup * a.column_tiles;
  const int first = number / of_group * kTileRowGroup;
  const int rows = min(kTileRowGroup, a.row_tiles - first);
  const int within = number % of_group;
  return {first + within % rows, within / rows};
}

struct TileShared {
  static constexpr int kBytesA = kTileRows * 128, kBytesB = kTileColumns * 128;
  static constexpr int kStageBytes = kBytesA + kBytesB;

  // A's rows, then B's; or panels that tiles are finished with.
  char stages[kTileStages][kStageBytes];
  int tile[2];  // numbers; used in turn
  Barrier tile_full[2], tile_empty[2];
  Barrier full[kTileStages], empty[kTileStages];

  __device__ __forceinline__ void Init() {
    constexpr int kWarps = kTileBlocks * kTileConsumers * kGroup / 32;
    for (int i = 0; i < 2; ++i) {
      tile_full[i].Init(1);
      tile_empty[i].Init(kWarps + kTileBlocks - 1);
    }
    for (int i = 0; i < kTileStages; ++i) {
      full[i].Init(1);
      empty[i].Init(kWarps);
    }
    FenceBarriers();
  }
};

// Stages of a ring, one after another.
struct StageCounter {
  int stage = 0, turn = 0;
  __device__ __forceinline__ void Next() {
    if (++stage == kTileStages) stage = 0, ++turn;
  }
};

// A warpgroup's panels in a stage, of 64 rows and columns of bf16 each.
struct TilePanels {
  static constexpr int kMost =
      TileShared::kStageBytes / kTileConsumers / kBoxBytes;
  uint32_t memory;

  __device__ __forceinline__ TilePanels(TileShared& shared, int stage,
                                        int group)
      : memory(SharedAddress(shared.stages[stage]) +
               group * kMost * kBoxBytes) {}
  __device__ __forceinline__ uint32_t At(int panel) const {
    return memory + panel * kBoxBytes;
  }
  // Where this thread's four matrices of columns 8 b to 8 b + 15 begin
  // (StoreMatrices, LoadMatrices).
  __device__ __forceinline__ uint32_t At(int panel, int b) const {
    const int lane = threadIdx.x % 32;
    const int row =
        threadIdx.x % kGroup / 32 * 16 + lane / 8 % 2 * 8 + lane % 8;
    return At(panel) + TileOffset(0, row, (b + lane / 16) * 8);
  }
  // word(b, r): this thread's columns 8 b + {0, 1} of its row + 8 r, rounded.
  template <typename WordOf>
  __device__ __forceinline__ void Put(int panel, WordOf word) const {
#pragma unroll
    for (int b = 0; b < 8; b += 2) {
      StoreMatrices(At(panel, b), word(b, 0), word(b, 1), word(b + 1, 0),
                    word(b + 1, 1));
    }
  }
};

// What is done with tiles, a warpgroup's 64 rows at a time:
//   kTransposed  whether B is stored as [K, columns]
//   kSteps       stages, one after another, that a tile is finished in
//   kBrought     panels that each brings for a warpgroup
//   kStored      panels that are stored from each; they are the first ones
//   Bring(step, row, column tile, panels, full)
//       one thread; has them fetched, their bytes count on `full`
//   Held Fetch(row, column tile)
//       what finishing wants in registers, loads under way while the last
//       products are made: all multiprocessors want theirs at about a time
//   Make<step>(sums, held, column tile, panels)
//       puts down what is stored
//   Store<step>(row, column tile, panels)
//       one thread; by StoreMatrixBox()
// `sums` are accumulators (cuda_wgmma.h) of the rows from `row` on.

// One thread of each block: everything the block reads.
template <typename Finish>
__device__ __forceinline__ void ProduceTiles(TileShared& shared,
                                             const TileArgs& a,
                                             const Finish& finish) {
  constexpr int kRows = kTileRows / kTileConsumers;
  constexpr uint16_t kAll = (1 << kTileBlocks) - 1;
  const int rank = blockIdx.x % kTileBlocks, tiles = a.tiles();
  // Each cluster asks once more than it takes tiles: then the count is 0 again.
  const unsigned most = tiles + gridDim.x / kTileBlocks - 1;
  StageCounter at;
  // Blocks that have to wait for a multiprocessor take what is left then.
  int next = rank == 0 ? atomicInc(a.taken, most) : 0;
  for (int number = 0;; ++number) {
    const int slot = number % 2;
    int which = next;
    if (rank == 0 && number >= 2) {
      shared.tile_empty[slot].Wait(number / 2 - 1);
    }
    shared.tile_full[slot].ArriveExpecting(sizeof(int));
    if (rank == 0) {
      for (int r = 0; r < kTileBlocks; ++r) {
        SendTo(r, which, &shared.tile[slot], shared.tile_full[slot]);
      }
      // Needed only when this tile is on its way.
      if (which < tiles) next = atomicInc(a.taken, most);
    } else {
      shared.tile_full[slot].WaitForCluster(number / 2);
      which = shared.tile[slot];
      shared.tile_empty[slot].ArriveAt(0);
    }
    if (which >= tiles) return;
    const Tile tile = TileAt(a, which);
    const int row = (tile.row * kTileBlocks + rank) * kTileRows;
    const int from = tile.column * a.run_step + rank * a.run_apart;
    for (int step = 0; step < a.depth; ++step, at.Next()) {
      Barrier& full = shared.full[at.stage];
      if (at.turn > 0) shared.empty[at.stage].Wait(at.turn - 1);
      full.ArriveExpecting(shared.kStageBytes);
      const uint32_t to = SharedAddress(shared.stages[at.stage]);
      const uint32_t to_b = to + shared.kBytesA + rank * kTileRun * 128;
      const int column = step * kTileDepth;
      LoadMatrixBox(a.a, to, column, row, full);
      if constexpr (Finish::kTransposed) {
#pragma unroll
        for (int i = 0; i < kTileRun / 64; ++i) {
          LoadMatrixBoxForAll(a.b, to_b + i * kBoxBytes, from + 64 * i, column,
                              full, kAll);
        }
      } else {
        LoadMatrixBoxForAll(a.b, to_b, column, from, full, kAll);
      }
    }
    for (int step = 0; step < Finish::kSteps; ++step, at.Next()) {
      Barrier& full = shared.full[at.stage];
      if (at.turn > 0) shared.empty[at.stage].Wait(at.turn - 1);
      full.ArriveExpecting(kTileConsumers * Finish::kBrought * kBoxBytes);
      for (int group = 0; group < kTileConsumers; ++group) {
        finish.Bring(step, row + group * kRows, tile.column,
                     TilePanels(shared, at.stage, group), full);
      }
    }
  }
}

template <int... kSteps, typename Body>
__device__ __forceinline__ void ForSteps(std::integer_sequence<int, kSteps...>,
                                         const Body& body) {
  (body(std::integral_constant<int, kSteps>()), ...);
}

// One warpgroup's whole job.
template <typename Finish>
__device__ __forceinline__ void ConsumeTiles(TileShared& shared,
                                             const TileArgs& a, int group,
                                             const Finish& finish) {
  constexpr int kRows = kTileRows / kTileConsumers;
  static_assert(Finish::kSteps >= 1 && Finish::kSteps <= kTileStages);
  static_assert(Finish::kBrought <= TilePanels::kMost &&
                Finish::kStored <= TilePanels::kMost);
  const int rank = blockIdx.x % kTileBlocks;
  const bool leads = threadIdx.x % kGroup == 0;
  float sums[kTileColumns / 2];
  StageCounter at;
  const auto multiply = [&](bool accumulate) {
    shared.full[at.stage].Wait(at.turn);
    const uint32_t memory = SharedAddress(shared.stages[at.stage]);
    const KMajor x{memory + group * kRows * 128, 0};
    const uint32_t tile_b = memory + shared.kBytesA;
    Pin(sums);
    WgmmaFence();
    if constexpr (Finish::kTransposed) {
      // Without the bits that say which block of the cluster it is.
      Multiply<kTileDepth>(sums, x, MnMajor{tile_b & 0x3ffff, kBoxBytes},
                           accumulate);
    } else {
      Multiply<kTileDepth>(sums, x, KMajor{tile_b, 0}, accumulate);
    }
    WgmmaCommit();
  };
  const auto give_back = [&](int stage) {
    ArriveWarpAtAll<kTileBlocks>(shared.empty[stage]);
  };
  int storing = -1;  // the stage of the newest stores
  for (int number = 0;; ++number) {
    const int slot = number % 2;
    shared.tile_full[slot].WaitForCluster(number / 2);
    const int which = shared.tile[slot];
    ArriveWarpAt(shared.tile_empty[slot], 0);
    if (which >= a.tiles()) break;
    multiply(false);
    if (storing >= 0) {
      if (leads) WaitStoresRead<0>();
      give_back(storing);
    }
    int before = at.stage;
    at.Next();
    const auto go_on = [&] {
      multiply(true);
      WgmmaWait<1>();
      give_back(before);
      before = at.stage;
      at.Next();
    };
    const Tile tile = TileAt(a, which);
    const int row = (tile.row * kTileBlocks + rank) * kTileRows + group * kRows;
    const int fetch = max(1, a.depth - kTileFetchAhead);
#pragma unroll 1
    for (int step = 1; step < fetch; ++step) go_on();
    const auto held = finish.Fetch(row, tile.column);
#pragma unroll 1
    for (int step = fetch; step < a.depth; ++step) go_on();
    WgmmaWait();
    Pin(sums);
    give_back(before);
    const auto finish_step = [&](auto which_step) {
      constexpr int kStep = decltype(which_step)::value;
      shared.full[at.stage].Wait(at.turn);
      const TilePanels panels(shared, at.stage, group);
      finish.template Make<kStep>(sums, held, tile.column, panels);
      FenceShared();
      GroupBarrier(group);
      if (leads) {
        finish.template Store<kStep>(row, tile.column, panels);
        if (kStep > 0) WaitStoresRead<Finish::kStored>();
      }
      __syncwarp();
      if (kStep > 0) give_back(storing);
      storing = at.stage;
      at.Next();
    };
    ForSteps(std::make_integer_sequence<int, Finish::kSteps>(), finish_step);
  }
  WaitStores();  // they read shared memory
}

// A kernel's body; `memory` as TileShared.
template <typename Finish>
__device__ __forceinline__ void MultiplyTiles(char* memory, const TileArgs& a,
                                              const Finish& finish) {
  // Registers of a thread: 65,536 in all.
  constexpr int kProducer = 24, kConsumer = 240;
  auto& shared = *reinterpret_cast<TileShared*>(memory);
  if (threadIdx.x == 0) shared.Init();
  __syncthreads();
  ClusterBarrier();
  AwaitEarlier();
  const int group = __shfl_sync(~0u, threadIdx.x / kGroup, 0);
  if (group == kTileConsumers) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kProducer));
    if (threadIdx.x % kGroup == 0) ProduceTiles(shared, a, finish);
    __syncwarp();
    // Others may still bring and read what lies here.
    ClusterBarrier();
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kConsumer));
    ConsumeTiles(shared, a, group, finish);
    ClusterBarrier();
  }
}

// ---- Launchers ----

inline int TilesOf(int64_t size, int64_t of_tile) {
  return static_cast<int>((size + of_tile - 1) / of_tile);
}

// Whether the current device has what this takes, and its multiprocessors would
// be busy with the rows and columns that are there most of the time: not where
// the last tiles are few or stand out of the matrix.
inline bool SuitsTiles(int64_t rows, int64_t columns) {
  constexpr double kBusy = 0.8;
  if (MajorCapability() != 9) return false;
  const int64_t tiles =
      int64_t{TilesOf(rows, kTileRows)} * TilesOf(columns, kTileColumns);
  const int64_t all = Multiprocessors();
  const double turns = static_cast<double>((tiles + all - 1) / all * all);
  return static_cast<double>(rows * columns) >=
         kBusy * turns * kTileRows * kTileColumns;
}

inline CUtensorMap BoxMapOf(const CudaMatrix<const bf16>& m, int box_rows) {
  return CudaMatrixMap(m.data, m.rows, m.columns, m.stride, box_rows);
}

// Of x and weight, whose columns are what is summed over (`transposed`:
// weight's rows). Column tile j takes weight's rows (columns) from j run_step
// and j run_step + run_apart on. `taken`: kMatMulTilesBytes of device memory.
inline TileArgs TileArgsOf(const CudaMatrix<const bf16>& x,
                           const CudaMatrix<const bf16>& weight,
                           bool transposed, int column_tiles, int run_step,
                           int run_apart, Workspace taken) {
  CARACAL_CHECK(taken.bytes >= kMatMulTilesBytes)
      << taken.bytes << " bytes for the count of tiles";
  TileArgs a = {};
  a.a = BoxMapOf(x, kTileRows);
  a.b = BoxMapOf(weight, transposed ? kTileDepth : kTileRun);
  a.row_tiles = TilesOf(x.rows, kTileBlocks * kTileRows);
  a.column_tiles = column_tiles;
  a.depth = TilesOf(x.columns, kTileDepth);
  a.run_step = run_step;
  a.run_apart = run_apart;
  a.taken = static_cast<unsigned*>(taken.data);
  return a;
}

// `kernel` is one that calls MultiplyTiles().
template <typename Args>
void LaunchTiles(void (*kernel)(Args), const TileArgs& tiles, const Args& args,
                 cudaStream_t stream) {
  constexpr size_t kShared = sizeof(TileShared);
  CARACAL_LAUNCHER_CHECK(cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared));
  const int clusters = std::min(Multiprocessors() / kTileBlocks, tiles.tiles());
  LaunchEarly(kernel, clusters * kTileBlocks, kTileThreads, kShared, stream,
              args, kTileBlocks);
}

}  // namespace caracal::kernels::cuda

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_HOPPER_H_
