// Token embedding on a CUDA device, forward, and the way back of rows gathered
// so. The contract of embedding.h, with these differences. The table is bf16 or
// fp32, out is bf16 (fp32 is rounded). Both start at a multiple of 16 bytes,
// their row strides are multiples of 16 bytes, and C is one of 8. ids, too, are
// device memory. No call waits for the device or allocates.
#ifndef CARACAL_KERNELS_EMBEDDING_EMBEDDING_CUDA_H_
#define CARACAL_KERNELS_EMBEDDING_EMBEDDING_CUDA_H_

#include "kernels/embedding/embedding.h"

namespace caracal::kernels {

void EmbeddingForwardCuda(const Context& ctx, ConstTensorView ids,
                          ConstTensorView table, int64_t vocab_begin,
                          TensorView out);

// out[ids[r], :] = x[r, :], the other rows stay. x, out bf16, C a multiple of
// 8; ids int32 [rows of x], each a row of out and no two the same.
void ScatterRowsCuda(const Context& ctx, ConstTensorView ids, ConstTensorView x,
                     TensorView out);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_EMBEDDING_EMBEDDING_CUDA_H_
