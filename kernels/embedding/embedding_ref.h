// Scalar reference of the embedding's gradient (forward is a copy).
#ifndef CARACAL_KERNELS_EMBEDDING_EMBEDDING_REF_H_
#define CARACAL_KERNELS_EMBEDDING_EMBEDDING_REF_H_

#include <cstdint>

#include "kernels/embedding/embedding_loops.h"

namespace caracal::kernels {

template <typename T>
void AddRowReference(const T* x, int64_t n, T* out) {
  for (int64_t i = 0; i < n; ++i) out[i] += x[i];
}

extern const EmbeddingLoops kEmbeddingReference;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_EMBEDDING_EMBEDDING_REF_H_
