#include "core/model/ops/cuda/rows.h"

#include <algorithm>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/device/device.h"
#include "core/model/ops/cuda/products.h"
#include "core/model/ops/stream.h"
#include "kernels/adamw/adamw_cuda.h"

namespace caracal {
namespace {

// Rows with what lies between them.
TensorView Flat(TensorView matrix) {
  return TensorView(matrix.data, matrix.dtype,
                    {matrix.shape[0] * matrix.stride[0]});
}
ConstTensorView Flat(ConstTensorView matrix) {
  return ConstTensorView(matrix.data, matrix.dtype,
                         {matrix.shape[0] * matrix.stride[0]});
}

IndexRange RowsOf(const Execution& exec, int rank, int64_t rows) {
  return Shard{rank, exec.collective->size()}.Of(rows);
}

TensorView Rows(TensorView all, IndexRange rows) {
  return BlockOf(all, rows.begin, rows.size(), 0, all.shape[1]);
}

// Elements of each rank's rows. In exec.arena.
absl::Span<const int64_t> Counts(Execution& exec, const TensorView& all) {
  const int ranks = exec.collective->size();
  auto* counts =
      static_cast<int64_t*>(exec.arena->Allocate(ranks * sizeof(int64_t)));
  for (int r = 0; r < ranks; ++r) {
    counts[r] = RowsOf(exec, r, all.shape[0]).size() * all.stride[0];
  }
  return {counts, static_cast<size_t>(ranks)};
}

// The ranks after this one, in a ring: no two ranks begin with the same.
int After(const Execution& exec, int step) {
  return (exec.collective->rank() + step) % exec.collective->size();
}

// Null: rows go by the group's own operations, as those of more ranks do than
// are added up at once.
PieceExchange* ExchangeOf(const Execution& exec) {
  return exec.collective->size() < kernels::kMostTerms
             ? exec.collective->exchange()
             : nullptr;
}

absl::Status BeginRows(PieceExchange& exchange, const Execution& exec,
                       const TensorView& all) {
  // The first rank has the most.
  return exchange.Begin(RowsOf(exec, 0, all.shape[0]).size() * all.stride[0] *
                        SizeOf(all.dtype));
}

absl::Status ExchangeGather(Execution& exec, TensorView all, bool keep,
                            OnRows work) {
  PieceExchange& exchange = *ExchangeOf(exec);
  const int ranks = exec.collective->size();
  const IndexRange own = StreamRows(exec, all.shape[0]);
  const TensorView mine = Rows(all, own);
  RETURN_IF_ERROR(BeginRows(exchange, exec, all));
  for (int step = 1; step < ranks; ++step) {
    RETURN_IF_ERROR(exchange.Send(Flat(mine), After(exec, step)));
  }
  work(own, mine);
  for (int step = ranks - 1; step > 0; --step) {
    const int from = After(exec, step);
    const IndexRange rows = RowsOf(exec, from, all.shape[0]);
    ASSIGN_OR_RETURN(void* const data, exchange.Receive(from));
    TensorView theirs = Rows(all, rows);
    if (keep) {
      exec.device->Copy(
          data, theirs.shape[0] * theirs.stride[0] * SizeOf(theirs.dtype),
          theirs.data);
    } else {
      theirs.data = data;
    }
    work(rows, theirs);
  }
  return exchange.End();
}

absl::Status ExchangeSum(Execution& exec, TensorView partial,
                         ConstTensorView add, TensorView mine, OnRows work,
                         absl::FunctionRef<void()> meanwhile) {
  PieceExchange& exchange = *ExchangeOf(exec);
  const int ranks = exec.collective->size(), rank = exec.collective->rank();
  RETURN_IF_ERROR(BeginRows(exchange, exec, partial));
  for (int step = 1; step < ranks; ++step) {
    const int to = After(exec, step);
    const IndexRange rows = RowsOf(exec, to, partial.shape[0]);
    const TensorView theirs = Rows(partial, rows);
    work(rows, theirs);
    RETURN_IF_ERROR(exchange.Send(Flat(theirs), to));
  }
  const IndexRange own = StreamRows(exec, partial.shape[0]);
  const TensorView own_part = Rows(partial, own);
  work(own, own_part);
  meanwhile();
  ConstTensorView terms[kernels::kMostTerms];
  int count = 0;
  if (add.defined()) terms[count++] = Flat(add);
  for (int r = 0; r < ranks; ++r) {
    TensorView part = own_part;
    if (r != rank) {
      ASSIGN_OR_RETURN(part.data, exchange.Receive(r));
    }
    terms[count++] = Flat(part);
  }
  if (mine.shape[0] > 0) kernels::SumCuda(exec.ctx, terms, count, Flat(mine));
  return exchange.End();
}

}  // namespace

TensorView MyDeviceRows(const Execution& exec, TensorView all) {
  return Rows(all, StreamRows(exec, all.shape[0]));
}

void GatherDeviceRows(Execution& exec, TensorView all) {
  GatherDeviceRows(exec, all, /*keep=*/true, [](IndexRange, TensorView) {});
}

void GatherDeviceRows(Execution& exec, TensorView all, bool keep, OnRows work) {
  const IndexRange every{0, all.shape[0]};
  if (!exec.device->ok()) return;
  if (exec.collective->size() == 1) return work(every, all);
  ArenaScope scratch(exec.arena);
  if (ExchangeOf(exec) != nullptr) {
    exec.Fail(ExchangeGather(exec, all, keep, work));
    return;
  }
  exec.Fail(exec.collective->AllGather(Flat(MyDeviceRows(exec, all)),
                                       Counts(exec, all), Flat(all)));
  work(every, all);
}

TensorView AllDeviceRows(Execution& exec, TensorView mine, int64_t rows) {
  const TensorView all = PlaceDeviceRows(exec, mine, rows, /*room=*/0);
  GatherDeviceRows(exec, all);
  return all;
}

TensorView PlaceDeviceRows(Execution& exec, TensorView mine, int64_t rows,
                           int64_t room) {
  if (exec.collective->size() == 1) return mine;
  const TensorView all = AllocateRows(exec, rows, mine.shape[1], room);
  const TensorView place = MyDeviceRows(exec, all);
  exec.device->CopyRows(mine.data, mine.stride[0] * sizeof(uint16_t),
                        mine.shape[1] * sizeof(uint16_t), mine.shape[0],
                        place.data, place.stride[0] * sizeof(uint16_t));
  return all;
}

void SumDeviceRows(Execution& exec, TensorView partial, TensorView mine) {
  SumDeviceRows(
      exec, partial, ConstTensorView(), mine, [](IndexRange, TensorView) {},
      [] {});
}

void SumDeviceRows(Execution& exec, TensorView partial, ConstTensorView add,
                   TensorView mine, OnRows work,
                   absl::FunctionRef<void()> meanwhile) {
  CARACAL_CHECK_EQ(partial.stride[0], mine.stride[0]);
  if (!exec.device->ok()) return;
  if (exec.collective->size() == 1) {
    CARACAL_CHECK(!add.defined() && mine.data == partial.data);
    work({0, partial.shape[0]}, partial);
    return meanwhile();
  }
  ArenaScope scratch(exec.arena);
  if (ExchangeOf(exec) != nullptr) {
    exec.Fail(ExchangeSum(exec, partial, add, mine, work, meanwhile));
    return;
  }
  work({0, partial.shape[0]}, partial);
  meanwhile();
  const TensorView sum = add.defined() ? MyDeviceRows(exec, partial) : mine;
  exec.Fail(exec.collective->ReduceScatterSum(
      Flat(partial), Counts(exec, partial), Flat(sum)));
  if (!add.defined() || !exec.device->ok() || mine.shape[0] == 0) return;
  const ConstTensorView terms[] = {Flat(add), Flat(sum)};
  kernels::SumCuda(exec.ctx, terms, 2, Flat(mine));
}

}  // namespace caracal
