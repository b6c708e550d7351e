// What products that take their tiles one after another count them in.
#ifndef CARACAL_KERNELS_MATMUL_MATMUL_TILES_H_
#define CARACAL_KERNELS_MATMUL_MATMUL_TILES_H_

#include <cstddef>

namespace caracal::kernels {

// Of device memory, zero before a call and zero again after it; used by one
// call at a time (on one stream).
inline constexpr size_t kMatMulTilesBytes = 16;

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_MATMUL_MATMUL_TILES_H_
