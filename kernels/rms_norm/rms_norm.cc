#include "kernels/rms_norm/rms_norm.h"

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/rms_norm/rms_norm_ref.h"
#include "kernels/rms_norm/rms_norm_simd.h"

namespace caracal::kernels {
namespace {

// Columns a thread takes of dweight: whole cache lines.
constexpr int64_t kWeightGrain = 64;

const RmsNormLoops& Loops() {
  return ForCurrentIsa(kRmsNormReference, avx2::kRmsNormLoops,
                       avx512::kRmsNormLoops);
}

}  // namespace

void RmsNormForward(const Context& ctx, ConstTensorView x,
                    ConstTensorView weight, float eps, TensorView y,
                    TensorView inv_rms) {
  const auto in = MatrixOf(x);
  const auto out = MatrixOf(y, in.rows, in.columns);
  const float* w = VectorOf<float>(weight, in.columns);
  float* inv = OptionalVectorOf<float>(inv_rms, in.rows);
  const RmsNormLoops& loops = Loops();
  ctx.pool->ParallelRanges(in.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      loops.forward(in.row(r), w, eps, in.columns, out.row(r),
                    inv == nullptr ? nullptr : inv + r);
    }
  });
}

void RmsNormBackward(const Context& ctx, ConstTensorView dy, ConstTensorView x,
                     ConstTensorView weight, ConstTensorView inv_rms,
                     bool accumulate_dx, TensorView dx, TensorView dweight) {
  const auto in = MatrixOf(x);
  const auto out_gradient = MatrixOf(dy, in.rows, in.columns);
  const auto in_gradient = MatrixOf(dx, in.rows, in.columns);
  const float* w = VectorOf<float>(weight, in.columns);
  const float* inv = VectorOf<float>(inv_rms, in.rows);
  float* dw = OptionalVectorOf<float>(dweight, in.columns);
  const RmsNormLoops& loops = Loops();
  // dweight first, because dx may overwrite dy. Each thread owns columns, so
  // the order of the sum over rows does not depend on their number.
  if (dw != nullptr) {
    ctx.pool->ParallelRanges(
        in.columns, kWeightGrain, [&](int64_t begin, int64_t end, int) {
          loops.backward_weight(out_gradient.data + begin, out_gradient.stride,
                                in.data + begin, in.stride, inv, in.rows,
                                end - begin, dw + begin);
        });
  }
  ctx.pool->ParallelRanges(in.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      loops.backward(out_gradient.row(r), in.row(r), w, inv[r], in.columns,
                     accumulate_dx, in_gradient.row(r));
    }
  });
}

}  // namespace caracal::kernels
