// The residual stream of a tensor-parallel group: each rank keeps the rows of
// its share of the tokens, norms run on those, and only around products that
// are split are all rows together (sequence parallelism: Korthikanti et al.,
// arXiv 2205.05198). With one rank all of this is nothing.
#ifndef CARACAL_CORE_MODEL_OPS_STREAM_H_
#define CARACAL_CORE_MODEL_OPS_STREAM_H_

#include <cstdint>

#include "absl/status/status.h"
#include "core/model/shard.h"
#include "core/tape/execution.h"
#include "core/tensor/tensor.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// Of `rows` tokens those that this rank keeps in the stream.
IndexRange StreamRows(const Execution& exec, int64_t rows);

// All `rows` rows of what each rank has its share of.
//   mine [StreamRows(rows), C] -> [rows, C], in exec.arena; with one rank mine
ConstTensorView GatherRows(Execution& exec, ConstTensorView mine, int64_t rows);

// This rank's share of the sum over ranks.
//   partial [rows, C] -> mine [StreamRows(rows), C], which may be its place in
//   partial; with one rank they must be the same.
void SumRows(Execution& exec, TensorView partial, TensorView mine);

// This rank's rows of [rows, C], the same memory.
TensorView MyRows(const Execution& exec, TensorView all);

// A stream that outlives its pass, for what hands it on between passes: fp32 in
// the host's memory, bf16 in that of exec's device. `room` grows to [rows, C]
// if it has less, and `stream` is those rows of it. kResourceExhausted.
absl::Status PlaceStream(const Execution& exec, int64_t rows, int64_t columns,
                         Tensor* room, TensorView* stream);
// Of as many rows; a device copies in its stream's order.
void CopyStream(const Execution& exec, const TensorView& from,
                const TensorView& to);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_STREAM_H_
