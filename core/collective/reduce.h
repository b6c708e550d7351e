// Sums and maxima over what the ranks of a group brought, in rank order.
#ifndef CARACAL_CORE_COLLECTIVE_REDUCE_H_
#define CARACAL_CORE_COLLECTIVE_REDUCE_H_

#include <cstdint>

#include "absl/types/span.h"
#include "kernels/common/dtype.h"

namespace caracal {

enum class Reduction { kSum, kMax };

// out[i] = sources[0][i] + sources[1][i] + ..., from left to right in fp32 and
// rounded once, or their maximum (NaN if any is). `n` elements of kF32 or
// kBF16; `out` may be one of the sources.
void ReduceInOrder(Reduction reduction, DType dtype,
                   absl::Span<const void* const> sources, int64_t n, void* out);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_REDUCE_H_
