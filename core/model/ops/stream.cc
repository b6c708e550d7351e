#include "core/model/ops/stream.h"

#include <cstring>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/device/device.h"

namespace caracal {
namespace {

// Elements of each rank's rows.
absl::Span<const int64_t> Counts(Execution& exec, int64_t rows, int64_t width) {
  const int ranks = exec.collective->size();
  auto* counts =
      static_cast<int64_t*>(exec.arena->Allocate(ranks * sizeof(int64_t)));
  for (int r = 0; r < ranks; ++r) {
    counts[r] = Shard{r, ranks}.Of(rows).size() * width;
  }
  return {counts, static_cast<size_t>(ranks)};
}

}  // namespace

IndexRange StreamRows(const Execution& exec, int64_t rows) {
  return Shard{exec.collective->rank(), exec.collective->size()}.Of(rows);
}

ConstTensorView GatherRows(Execution& exec, ConstTensorView mine,
                           int64_t rows) {
  if (exec.collective->size() == 1) return mine;
  const int64_t width = mine.shape[1];
  const TensorView all = exec.arena->AllocateF32({rows, width});
  ArenaScope scratch(exec.arena);
  exec.Fail(exec.collective->AllGather(mine, Counts(exec, rows, width), all));
  return all;
}

void SumRows(Execution& exec, TensorView partial, TensorView mine) {
  if (exec.collective->size() == 1) return;
  ArenaScope scratch(exec.arena);
  exec.Fail(exec.collective->ReduceScatterSum(
      partial, Counts(exec, partial.shape[0], partial.shape[1]), mine));
}

absl::Status PlaceStream(const Execution& exec, int64_t rows, int64_t columns,
                         Tensor* room, TensorView* stream) {
  const DType dtype = exec.device == nullptr ? DType::kF32 : DType::kBF16;
  if (room->size() < rows * columns) {
    *room = Tensor();  // before the next one is there
    if (exec.device == nullptr) {
      *room = Tensor::Empty(dtype, {rows, columns});
    } else {
      ASSIGN_OR_RETURN(*room, exec.device->Allocate(dtype, {rows, columns}));
    }
  }
  *stream = TensorView(room->view().data, dtype, {rows, columns});
  return absl::OkStatus();
}

void CopyStream(const Execution& exec, const TensorView& from,
                const TensorView& to) {
  const size_t bytes = from.size() * SizeOf(from.dtype);
  CARACAL_CHECK(from.size() == to.size() && from.dtype == to.dtype);
  if (exec.device == nullptr) {
    std::memcpy(to.data, from.data, bytes);
  } else {
    exec.device->Copy(from.data, bytes, to.data);
  }
}

TensorView MyRows(const Execution& exec, TensorView all) {
  const IndexRange rows = StreamRows(exec, all.shape[0]);
  return TensorView(all.f32() + rows.begin * all.shape[1],
                    {rows.size(), all.shape[1]});
}

}  // namespace caracal
