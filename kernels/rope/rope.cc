#include "kernels/rope/rope.h"

#include <cmath>

#include "kernels/common/dispatch.h"
#include "kernels/common/matrix_view.h"
#include "kernels/rope/rope_ref.h"
#include "kernels/rope/rope_simd.h"

namespace caracal::kernels {

void Rope(const Context& ctx, TensorView x, ConstTensorView positions,
          ConstTensorView cos, ConstTensorView sin, bool inverse) {
  CARACAL_CHECK(x.rank == 3) << "rank " << x.rank << ", wanted 3";
  const int64_t rows = x.shape[0], heads = x.shape[1], half = x.shape[2] / 2;
  CARACAL_CHECK(x.shape[2] == 2 * half && x.stride[2] == 1)
      << "head dimension " << x.shape[2] << " with stride " << x.stride[2];
  const auto cosines = MatrixOf(cos);
  const auto sines = MatrixOf(sin, cosines.rows, half);
  CARACAL_CHECK_EQ(cosines.columns, half);
  const int32_t* position = VectorOf<int32_t>(positions, rows);
  float* data = x.f32();
  const RopeLoops& loops =
      ForCurrentIsa(kRopeReference, avx2::kRopeLoops, avx512::kRopeLoops);
  ctx.pool->ParallelRanges(rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t p = position[r];
      CARACAL_CHECK(p >= 0 && p < cosines.rows)
          << "position " << p << " of row " << r << ", table has "
          << cosines.rows;
      loops.rotate(data + r * x.stride[0], x.stride[1], heads, half,
                   cosines.row(p), sines.row(p), inverse);
    }
  });
}

void RopeTable(ConstTensorView inv_freq, TensorView cos, TensorView sin) {
  const auto cosines = MatrixOf(cos);
  const auto sines = MatrixOf(sin, cosines.rows, cosines.columns);
  const float* frequency = VectorOf<float>(inv_freq, cosines.columns);
  for (int64_t p = 0; p < cosines.rows; ++p) {
    for (int64_t i = 0; i < cosines.columns; ++i) {
      // Rounded to fp32 before the cosine, as the models were trained.
      const float angle = static_cast<float>(p) * frequency[i];
      cosines.row(p)[i] = static_cast<float>(std::cos(double{angle}));
      sines.row(p)[i] = static_cast<float>(std::sin(double{angle}));
    }
  }
}

}  // namespace caracal::kernels
