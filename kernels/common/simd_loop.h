// Loops over arrays of any length by whole vectors and one partial one at the
// end. Partial loads and stores are slow on some machines (AVX2 on AMD), so
// the body is instantiated once for each kind:
//     ForEachVector(n, [&](int64_t i, auto lanes) {
//       lanes.Store(y + i, lanes.Load(x + i) * scale);
//     });
// Included only by sources of a simd_library.
#ifndef CARACAL_KERNELS_COMMON_SIMD_LOOP_H_
#define CARACAL_KERNELS_COMMON_SIMD_LOOP_H_

#include <cstdint>

#include "kernels/common/simd.h"

namespace caracal::CARACAL_SIMD_NS {

struct AllLanes {
  Vec Load(const float* p) const { return CARACAL_SIMD_NS::Load(p); }
  void Store(float* p, Vec a) const { CARACAL_SIMD_NS::Store(p, a); }
};

// The first `count` lanes; others are loaded as 0 and not stored.
struct SomeLanes {
  int count;
  Vec Load(const float* p) const { return LoadN(p, count); }
  void Store(float* p, Vec a) const { StoreN(p, a, count); }
};

template <typename Body>
inline void ForEachVector(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) body(i, AllLanes{});
  if (i < n) body(i, SomeLanes{static_cast<int>(n - i)});
}

}  // namespace caracal::CARACAL_SIMD_NS

#endif  // CARACAL_KERNELS_COMMON_SIMD_LOOP_H_
