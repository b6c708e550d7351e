#include "kernels/cross_entropy/kl_divergence.h"

#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/cross_entropy/kl_divergence_loops.h"

namespace caracal::kernels {
namespace {

const KlLoops& Loops() {
  return ForCurrentIsa(kKlReference, avx2::kKlLoops, avx512::kKlLoops);
}

}  // namespace

void KlDivergence(const Context& ctx, KlDirection direction,
                  ConstTensorView logits, ConstTensorView teacher,
                  ConstTensorView lse, ConstTensorView teacher_lse,
                  TensorView kl) {
  const auto s = MatrixOf(logits);
  const auto t = MatrixOf(teacher);
  CARACAL_CHECK_EQ(s.rows, t.rows);
  CARACAL_CHECK_EQ(s.columns, t.columns);
  const float* s_lse = VectorOf<float>(lse, s.rows);
  const float* t_lse = VectorOf<float>(teacher_lse, s.rows);
  float* out = VectorOf<float>(kl, s.rows);
  const KlLoops& loops = Loops();
  ctx.pool->ParallelRanges(s.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      out[r] = loops.divergence(
          {direction, s.columns, s.row(r), s_lse[r], t_lse[r]}, t.row(r));
    }
  });
}

void KlGradient(const Context& ctx, KlDirection direction,
                ConstTensorView logits, TensorView teacher, ConstTensorView lse,
                ConstTensorView teacher_lse, ConstTensorView kl,
                ConstTensorView weight) {
  const auto s = MatrixOf(logits);
  const auto t = MatrixOf(teacher);
  CARACAL_CHECK_EQ(s.rows, t.rows);
  CARACAL_CHECK_EQ(s.columns, t.columns);
  const float* s_lse = VectorOf<float>(lse, s.rows);
  const float* t_lse = VectorOf<float>(teacher_lse, s.rows);
  const float* divergence = VectorOf<float>(kl, s.rows);
  const float* scale = VectorOf<float>(weight, s.rows);
  const KlLoops& loops = Loops();
  ctx.pool->ParallelRanges(s.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      if (scale[r] == 0.0f) {
        std::fill_n(t.row(r), t.columns, 0.0f);
        continue;
      }
      loops.gradient({direction, s.columns, s.row(r), s_lse[r], t_lse[r]},
                     divergence[r], scale[r], t.row(r));
    }
  });
}

}  // namespace caracal::kernels
