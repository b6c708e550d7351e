// Chooses among the versions of a kernel's inner loops at run time.
#ifndef CARACAL_KERNELS_COMMON_DISPATCH_H_
#define CARACAL_KERNELS_COMMON_DISPATCH_H_

#include "kernels/common/cpu.h"

namespace caracal {

// Loops is a struct of function pointers, one instance an instruction set.
template <typename Loops>
const Loops& ForCurrentIsa(const Loops& scalar, const Loops& avx2,
                           const Loops& avx512) {
  switch (CurrentIsa()) {
    case Isa::kAvx512:
      return avx512;
    case Isa::kAvx2:
      return avx2;
    case Isa::kScalar:
      break;
  }
  return scalar;
}

}  // namespace caracal

#endif  // CARACAL_KERNELS_COMMON_DISPATCH_H_
