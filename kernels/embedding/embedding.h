// Token embedding of a shard of the vocabulary: ids [vocab_begin, vocab_begin
// + V). The shards' outputs add up to the whole.
#ifndef CARACAL_KERNELS_EMBEDDING_EMBEDDING_H_
#define CARACAL_KERNELS_EMBEDDING_EMBEDDING_H_

#include <cstdint>

#include "kernels/common/context.h"
#include "kernels/common/tensor_view.h"

namespace caracal::kernels {

// out[r, :] = table[ids[r] - vocab_begin, :]; zero for ids of other shards.
// ids int32 [rows]; table [V, C], out [rows, C] fp32, rows may be strided.
void EmbeddingForward(const Context& ctx, ConstTensorView ids,
                      ConstTensorView table, int64_t vocab_begin,
                      TensorView out);

// dtable[ids[r] - vocab_begin, :] += dout[r, :] in the order of r, so
// bit-identical for any number of threads.
void EmbeddingBackward(const Context& ctx, ConstTensorView ids,
                       ConstTensorView dout, int64_t vocab_begin,
                       TensorView dtable);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_EMBEDDING_EMBEDDING_H_
