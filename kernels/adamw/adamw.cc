#include "kernels/adamw/adamw.h"

#include <algorithm>
#include <atomic>

#include "kernels/adamw/adamw_coefficients.h"
#include "kernels/adamw/adamw_ref.h"
#include "kernels/adamw/adamw_simd.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"

namespace caracal::kernels {
namespace {

// Elements a thread takes at least, and a multiple of: whole cache lines.
constexpr int64_t kGrain = 1024;
// Partial sums of a reduction: as many for every number of threads.
constexpr int64_t kParts = 64;

const AdamWLoops& Loops() {
  return ForCurrentIsa(kAdamWReference, avx2::kAdamWLoops, avx512::kAdamWLoops);
}

// Length of each of kParts pieces of n elements (the last may be shorter).
int64_t PartLength(int64_t n) {
  const int64_t units = (n + kGrain - 1) / kGrain;
  return (units + kParts - 1) / kParts * kGrain;
}

}  // namespace

void AdamWStep(const Context& ctx, const AdamWConfig& config, TensorView param,
               ConstTensorView grad, TensorView m, TensorView v) {
  CARACAL_CHECK(param.rank == 1) << "rank " << param.rank;
  const int64_t n = param.shape[0];
  float* p = VectorOf<float>(param, n);
  const float* g = VectorOf<float>(grad, n);
  float* first = VectorOf<float>(m, n);
  float* second = VectorOf<float>(v, n);
  const AdamWCoefficients k = AdamWCoefficientsOf(config);
  const AdamWLoops& loops = Loops();
  ctx.pool->ParallelRanges(n, kGrain, [&](int64_t begin, int64_t end, int) {
    loops.step(k, g + begin, end - begin, p + begin, first + begin,
               second + begin);
  });
}

double SumOfSquares(const Context& ctx, ConstTensorView x) {
  CARACAL_CHECK(x.contiguous()) << "strided view";
  const float* data = x.f32();
  const int64_t n = x.size(), length = PartLength(n);
  const AdamWLoops& loops = Loops();
  double part[kParts] = {};
  ctx.pool->ParallelFor(kParts, [&](int64_t i, int) {
    const int64_t begin = i * length, end = std::min(n, begin + length);
    if (begin < end) part[i] = loops.sum_of_squares(data + begin, end - begin);
  });
  double sum = 0;
  for (double value : part) sum += value;
  return sum;
}

bool AllFinite(const Context& ctx, ConstTensorView x) {
  CARACAL_CHECK(x.contiguous()) << "strided view";
  const float* data = x.f32();
  const AdamWLoops& loops = Loops();
  std::atomic<bool> finite{true};
  ctx.pool->ParallelRanges(x.size(), kGrain,
                           [&](int64_t begin, int64_t end, int) {
                             if (!loops.all_finite(data + begin, end - begin))
                               finite = false;
                           });
  return finite;
}

void Accumulate(const Context& ctx, ConstTensorView x, TensorView y) {
  CARACAL_CHECK(x.contiguous() && y.contiguous()) << "strided view";
  CARACAL_CHECK_EQ(x.size(), y.size());
  const float* from = x.f32();
  float* to = y.f32();
  const AdamWLoops& loops = Loops();
  ctx.pool->ParallelRanges(
      y.size(), kGrain, [&](int64_t begin, int64_t end, int) {
        loops.accumulate(from + begin, end - begin, to + begin);
      });
}

}  // namespace caracal::kernels
