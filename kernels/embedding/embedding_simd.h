// Vectorised loops of the embedding.
#ifndef CARACAL_KERNELS_EMBEDDING_EMBEDDING_SIMD_H_
#define CARACAL_KERNELS_EMBEDDING_EMBEDDING_SIMD_H_

#include "kernels/embedding/embedding_loops.h"

namespace caracal::kernels {
namespace avx2 {
extern const EmbeddingLoops kEmbeddingLoops;
}
namespace avx512 {
extern const EmbeddingLoops kEmbeddingLoops;
}
}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_EMBEDDING_EMBEDDING_SIMD_H_
