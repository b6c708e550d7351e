// The rows of a tensor-parallel group on a device: stream.h's, of bf16 matrices
// whose rows lie apart. A group of NCCL puts its work on the device's stream,
// so that nothing here waits.
#ifndef CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_
#define CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_

#include <cstdint>

#include "core/tape/execution.h"
#include "kernels/common/tensor_view.h"

namespace caracal {

// This rank's rows of [rows, C], the same memory.
TensorView MyDeviceRows(const Execution& exec, TensorView all);

// Every rank has written its own rows of `all`; afterwards all are there, with
// what lies behind each as far as the next.
void GatherDeviceRows(Execution& exec, TensorView all);

// All `rows` of a matrix whose rows the ranks share out, each having its own,
// with room behind them: in the device's arena; with one rank itself.
TensorView AllDeviceRows(Execution& exec, TensorView mine, int64_t rows,
                         int64_t room = 0);

// This rank's share of the sum over ranks, to mine [StreamRows(rows), C] with
// rows as far apart as partial's: its place in partial, or other memory.
// Partial is of no use afterwards.
void SumDeviceRows(Execution& exec, TensorView partial, TensorView mine);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_OPS_CUDA_ROWS_H_
