#include "kernels/swiglu/swiglu.h"

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/swiglu/swiglu_ref.h"
#include "kernels/swiglu/swiglu_simd.h"

namespace caracal::kernels {
namespace {

const SwigluLoops& Loops() {
  return ForCurrentIsa(kSwigluReference, avx2::kSwigluLoops,
                       avx512::kSwigluLoops);
}

}  // namespace

void SwigluForward(const Context& ctx, ConstTensorView gate, ConstTensorView up,
                   TensorView out) {
  const auto g = MatrixOf(gate);
  const auto u = MatrixOf(up, g.rows, g.columns);
  const auto o = MatrixOf(out, g.rows, g.columns);
  const SwigluLoops& loops = Loops();
  ctx.pool->ParallelRanges(g.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      loops.forward(g.row(r), u.row(r), g.columns, o.row(r));
    }
  });
}

void SwigluBackward(const Context& ctx, ConstTensorView dout,
                    ConstTensorView gate, ConstTensorView up, TensorView dgate,
                    TensorView dup) {
  const auto g = MatrixOf(gate);
  const auto u = MatrixOf(up, g.rows, g.columns);
  const auto d = MatrixOf(dout, g.rows, g.columns);
  const auto dg = MatrixOf(dgate, g.rows, g.columns);
  const auto du = MatrixOf(dup, g.rows, g.columns);
  const SwigluLoops& loops = Loops();
  ctx.pool->ParallelRanges(g.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      loops.backward(d.row(r), g.row(r), u.row(r), g.columns, dg.row(r),
                     du.row(r));
    }
  });
}

}  // namespace caracal::kernels
