#include "kernels/matmul/blas_core.h"

#include <cblas.h>

#include <cstdlib>
#include <cstring>

#include "kernels/common/cpu.h"

extern "C" {
// Not in its headers; only in builds that choose at run time, as Debian's is.
void gotoblas_dynamic_init() __attribute__((weak));
void gotoblas_dynamic_quit() __attribute__((weak));
}

namespace caracal::kernels {
namespace {

constexpr char kVariable[] = "OPENBLAS_CORETYPE";
// What it takes for a processor that it does not know.
constexpr char kUnknown[] = "Prescott";

}  // namespace

const char* ChooseBlasCore() {
  const Isa isa = BestIsa();
  if (gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr ||
      isa == Isa::kScalar || std::getenv(kVariable) != nullptr ||
      std::strcmp(openblas_get_corename(), kUnknown) != 0) {
    return openblas_get_corename();
  }
  // It has no call for this, but reads the variable when it begins anew.
  setenv(kVariable, isa == Isa::kAvx512 ? "SkylakeX" : "Haswell", 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv(kVariable);
  return openblas_get_corename();
}

}  // namespace caracal::kernels
