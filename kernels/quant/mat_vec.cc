#include "kernels/quant/mat_vec.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/common/cpu.h"
#include "kernels/quant/mat_vec_reference.h"
#include "kernels/quant/mat_vec_simd.h"

namespace caracal::kernels {
namespace {

// A thread gets at least this many weights, a few microseconds of work;
// below it, waking another thread costs more than it saves.
constexpr int64_t kWeightsPerThread = 16384;
// Rows that the inner loop takes together.
constexpr int64_t kRowGroup = 4;

}  // namespace

void QuantMatVec(const Context& ctx, const EncodedView& w, ConstTensorView x,
                 TensorView y, float beta) {
  CARACAL_CHECK(ctx.device == DeviceType::kCpu) << "no such device";
  CARACAL_CHECK(x.rank == y.rank && (x.rank == 1 || x.rank == 2))
      << "x has rank " << x.rank << ", y " << y.rank;
  const int last = x.rank - 1;
  CARACAL_CHECK_EQ(x.shape[last], w.columns);
  CARACAL_CHECK_EQ(y.shape[last], w.rows);
  CARACAL_CHECK(x.stride[last] == 1 && y.stride[last] == 1);
  CARACAL_CHECK_EQ(w.columns % InfoOf(w.encoding).block_elements, 0);
  MatVecTask task;
  task.w = w;
  task.x = x.f32();
  task.y = y.f32();
  task.batch = 1;
  task.beta = beta;
  if (x.rank == 2) {
    CARACAL_CHECK_EQ(x.shape[0], y.shape[0]);
    task.batch = x.shape[0];
    task.x_stride = x.stride[0];
    task.y_stride = y.stride[0];
  }
  const Isa isa = CurrentIsa();
  const auto run = [&](int64_t begin, int64_t end, int) {
    switch (isa) {
      case Isa::kAvx512:
        return avx512::MatVecRows(task, begin, end);
      case Isa::kAvx2:
        return avx2::MatVecRows(task, begin, end);
      case Isa::kScalar:
        return reference::MatVecRows(task, begin, end);
    }
  };
  const int64_t enough =
      kWeightsPerThread / std::max<int64_t>(1, w.columns * task.batch) + 1;
  const int64_t grain = (enough + kRowGroup - 1) / kRowGroup * kRowGroup;
  ctx.pool->ParallelRanges(w.rows, grain, run);
}

}  // namespace caracal::kernels
