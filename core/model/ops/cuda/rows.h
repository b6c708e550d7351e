// The rows of a tensor-parallel group on a device: stream.h's, of bf16 matrices
// whose rows lie apart. The group puts its work on the device's stream, so that
// nothing here waits.
//
// Where the group has an exchange, a product that follows a gather begins with
// the rank's own rows, and one that a sum follows with the others': the rows of
// the rest are on their way meanwhile.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "core/model/shard.h"
#include "core/tape/execution.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// This rank's rows of [rows, C], the same memory.
TensorView MyDeviceRows(const Execution& exec, TensorView all);

// Work on some of the rows: `some` has those, with what lies behind each as far
// as the next.
using OnRows = absl::FunctionRef<void(IndexRange rows, TensorView some)>;

// Every rank has written its own rows of `all`; afterwards all are there, with
// what lies behind each as far as the next.
void GatherDeviceRows(Execution& exec, TensorView all);
// The same, and `work` on every row once. Without `keep` the others' rows need
// not come to `all`.
void GatherDeviceRows(Execution& exec, TensorView all, bool keep, OnRows work);

// All `rows` of a matrix whose rows the ranks share out, each having its own:
// in the device's arena; with one rank itself.
TensorView AllDeviceRows(Execution& exec, TensorView mine, int64_t rows);
// The same before they are gathered: with this rank's rows, and `room` elements
// behind each row.
TensorView PlaceDeviceRows(Execution& exec, TensorView mine, int64_t rows,
                           int64_t room);

// This rank's share of the sum over ranks, to mine [StreamRows(rows), C] with
// rows as far apart as partial's: its place in partial, or other memory.
// Partial is of no use afterwards.
void SumDeviceRows(Execution& exec, TensorView partial, TensorView mine);
// The same of what `work` makes of every row, + add where that is defined (of
// mine's layout; may be mine); `meanwhile` runs before the sum.
void SumDeviceRows(Execution& exec, TensorView partial, ConstTensorView add,
                   TensorView mine, OnRows work,
                   absl::FunctionRef<void()> meanwhile);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_
