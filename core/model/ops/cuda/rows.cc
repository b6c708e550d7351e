#include "core/model/ops/cuda/rows.h"

#include "absl/types/span.h"
#include "core/device/device.h"
#include "core/model/ops/cuda/products.h"
#include "core/model/ops/stream.h"

namespace caracal {
namespace {

// Rows with what lies between them.
TensorView Flat(TensorView matrix) {
  return TensorView(matrix.data, matrix.dtype,
                    {matrix.shape[0] * matrix.stride[0]});
}

// Elements of each rank's rows. In exec.arena.
absl::Span<const int64_t> Counts(Execution& exec, const TensorView& all) {
  const int ranks = exec.collective->size();
  auto* counts =
      static_cast<int64_t*>(exec.arena->Allocate(ranks * sizeof(int64_t)));
  for (int r = 0; r < ranks; ++r) {
    counts[r] = Shard{r, ranks}.Of(all.shape[0]).size() * all.stride[0];
  }
  return {counts, static_cast<size_t>(ranks)};
}

}  // namespace

TensorView MyDeviceRows(const Execution& exec, TensorView all) {
  const IndexRange mine = StreamRows(exec, all.shape[0]);
  return BlockOf(all, mine.begin, mine.size(), 0, all.shape[1]);
}

void GatherDeviceRows(Execution& exec, TensorView all) {
  if (exec.collective->size() == 1 || !exec.device->ok()) return;
  ArenaScope scratch(exec.arena);
  exec.Fail(exec.collective->AllGather(Flat(MyDeviceRows(exec, all)),
                                       Counts(exec, all), Flat(all)));
}

TensorView AllDeviceRows(Execution& exec, TensorView mine, int64_t rows,
                         int64_t room) {
  if (exec.collective->size() == 1) return mine;
  const TensorView all = AllocateRows(exec, rows, mine.shape[1], room);
  const TensorView place = MyDeviceRows(exec, all);
  exec.device->CopyRows(mine.data, mine.stride[0] * sizeof(uint16_t),
                        mine.shape[1] * sizeof(uint16_t), mine.shape[0],
                        place.data, place.stride[0] * sizeof(uint16_t));
  GatherDeviceRows(exec, all);
  return all;
}

void SumDeviceRows(Execution& exec, TensorView partial, TensorView mine) {
  CARACAL_CHECK_EQ(partial.stride[0], mine.stride[0]);
  if (exec.collective->size() == 1 || !exec.device->ok()) return;
  ArenaScope scratch(exec.arena);
  exec.Fail(exec.collective->ReduceScatterSum(
      Flat(partial), Counts(exec, partial), Flat(mine)));
}

}  // namespace caracal
