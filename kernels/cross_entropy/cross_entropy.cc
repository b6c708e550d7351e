#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/cross_entropy/cross_entropy_ref.h"
#include "kernels/cross_entropy/cross_entropy_simd.h"

namespace caracal::kernels {
namespace {

const CrossEntropyLoops& Loops() {
  return ForCurrentIsa(kCrossEntropyReference, avx2::kCrossEntropyLoops,
                       avx512::kCrossEntropyLoops);
}

}  // namespace

void CrossEntropyStatistics(const Context& ctx, ConstTensorView logits,
                            ConstTensorView targets, int64_t vocab_begin,
                            TensorView row_max, TensorView sum_exp,
                            TensorView target_logit, TensorView argmax) {
  const auto in = MatrixOf(logits);
  CARACAL_CHECK(in.columns >= 1) << "empty vocabulary";
  const int32_t* target = VectorOf<int32_t>(targets, in.rows);
  float* max = VectorOf<float>(row_max, in.rows);
  float* sum = VectorOf<float>(sum_exp, in.rows);
  float* at_target = VectorOf<float>(target_logit, in.rows);
  int32_t* best = OptionalVectorOf<int32_t>(argmax, in.rows);
  const CrossEntropyLoops& loops = Loops();
  ctx.pool->ParallelRanges(in.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t index = 0;
      loops.statistics(in.row(r), in.columns, &max[r], &sum[r], &index);
      const int64_t column = target[r] - vocab_begin;
      const bool here = column >= 0 && column < in.columns;
      at_target[r] = here ? in.row(r)[column] : 0.0f;
      if (best != nullptr) best[r] = static_cast<int32_t>(vocab_begin + index);
    }
  });
}

void CrossEntropyGradient(const Context& ctx, TensorView logits,
                          ConstTensorView targets, int64_t vocab_begin,
                          ConstTensorView lse, ConstTensorView row_weight) {
  const auto in = MatrixOf(logits);
  const int32_t* target = VectorOf<int32_t>(targets, in.rows);
  const float* log_sum = VectorOf<float>(lse, in.rows);
  const float* weight = VectorOf<float>(row_weight, in.rows);
  const CrossEntropyLoops& loops = Loops();
  ctx.pool->ParallelRanges(in.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      if (weight[r] == 0.0f) {
        std::fill_n(in.row(r), in.columns, 0.0f);
        continue;
      }
      loops.gradient(in.row(r), in.columns, log_sum[r], weight[r]);
      const int64_t column = target[r] - vocab_begin;
      if (column >= 0 && column < in.columns) in.row(r)[column] -= weight[r];
    }
  });
}

}  // namespace caracal::kernels
