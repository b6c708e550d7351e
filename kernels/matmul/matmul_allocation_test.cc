// Counts heap allocations during MatMul: none after the first calls. A binary
// of its own, because it replaces malloc.
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>

#include "kernels/common/kernel_testing.h"
#include "kernels/matmul/matmul.h"

namespace {
std::atomic<long> allocations{0};
}

// Sanitizers bring their own malloc, which must stay.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kCounting = false;
#else
constexpr bool kCounting = true;
extern "C" {
void* __libc_malloc(size_t);
void* malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
}
#endif

namespace caracal::kernels {
namespace {

using testing::PoolContext;
using testing::TestMatrix;
using testing::Uniform;

TEST(MatMul, AllocatesNothingAfterWarmUp) {
  PoolContext pool(2);
  for (int64_t m : {1, 3, 40, 300}) {
    TestMatrix a(m, 200, 0, Uniform(1)), b(150, 200, 0, Uniform(2));
    TestMatrix c(m, 150), d(m, 200);
    const auto run = [&] {
      MatMul(pool.ctx, Transpose::kNo, Transpose::kYes, 1, a.view(), b.view(),
             0, c.view());
      MatMul(pool.ctx, Transpose::kNo, Transpose::kNo, 1, c.view(), b.view(), 1,
             d.view());
    };
    for (int i = 0; i < 3; ++i) run();
    const long before = allocations;
    for (int i = 0; i < 20; ++i) run();
    EXPECT_EQ(allocations - before, 0) << "m " << m;
  }
  const long before = allocations;
  // Through a volatile pointer, or the compiler drops the pair.
  void* volatile block = std::malloc(10);
  std::free(block);
  EXPECT_EQ(allocations - before, kCounting ? 1 : 0) << "the counter works";
}

}  // namespace
}  // namespace caracal::kernels
