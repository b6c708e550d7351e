// The inner loop of the embedding's gradient, one an instruction set.
#ifndef CARACAL_KERNELS_EMBEDDING_EMBEDDING_LOOPS_H_
#define CARACAL_KERNELS_EMBEDDING_EMBEDDING_LOOPS_H_

#include <cstdint>

namespace caracal::kernels {

struct EmbeddingLoops {
  // out[i] += x[i].
  void (*add_row)(const float* x, int64_t n, float* out);
};

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_EMBEDDING_EMBEDDING_LOOPS_H_
