#include "kernels/matmul/blas_core.h"

#include <cblas.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/common/cpu.h"

extern "C" {
void gotoblas_dynamic_init();
void gotoblas_dynamic_quit();
}

namespace caracal::kernels {
namespace {

// As when the library is loaded with this in the environment.
void BeginWith(const char* core) {
  setenv("OPENBLAS_CORETYPE", core, 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
}

TEST(BlasCoreTest, AnUnknownProcessorGetsTheKernelsOfItsInstructions) {
  BeginWith("Prescott");
  ASSERT_STREQ(openblas_get_corename(), "Prescott");
  // Asked for by name it stays.
  EXPECT_STREQ(ChooseBlasCore(), "Prescott");
  unsetenv("OPENBLAS_CORETYPE");
  const std::string expected = BestIsa() == Isa::kAvx512 ? "SkylakeX"
                               : BestIsa() == Isa::kAvx2 ? "Haswell"
                                                         : "Prescott";
  EXPECT_EQ(ChooseBlasCore(), expected);
  EXPECT_EQ(openblas_get_corename(), expected);
  EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr);
  // And works.
  constexpr int n = 200;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (int i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i % 7 - 3);
    b[i] = static_cast<float>(i % 5 - 2);
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a.data(),
              n, b.data(), n, 0, c.data(), n);
  for (int i = 0; i < n; i += 13) {
    for (int j = 0; j < n; j += 17) {
      float sum = 0;  // whole numbers: exact
      for (int k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      EXPECT_EQ(c[i * n + j], sum) << i << " " << j;
    }
  }
}

TEST(BlasCoreTest, AKnownProcessorIsLeftAlone) {
  BeginWith("Nehalem");
  unsetenv("OPENBLAS_CORETYPE");
  EXPECT_STREQ(ChooseBlasCore(), "Nehalem");
}

}  // namespace
}  // namespace caracal::kernels
