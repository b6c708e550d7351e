#include "kernels/quant/mat_vec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "kernels/common/cpu.h"
#include "kernels/quant/dequantize.h"
#include "kernels/quant/random_blocks.h"

namespace caracal::kernels {
namespace {

std::vector<Isa> Paths() {
  std::vector<Isa> paths = {Isa::kScalar};
  if (BestIsa() >= Isa::kAvx2) paths.push_back(Isa::kAvx2);
  if (BestIsa() >= Isa::kAvx512) paths.push_back(Isa::kAvx512);
  return paths;
}

std::vector<float> RandomVector(int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> out(size);
  for (float& value : out) {
    value = (static_cast<int>(random() % 2001) - 1000) / 500.0f;
  }
  return out;
}

class MatVecTest : public ::testing::TestWithParam<int> {
 protected:
  ~MatVecTest() override { SetIsa(BestIsa()); }
  Encoding encoding() const { return static_cast<Encoding>(GetParam()); }
  // Small row lengths, with remainders where the encoding allows them.
  std::vector<int64_t> Columns() const {
    const int64_t block = InfoOf(encoding()).block_elements;
    if (block == 1) return {1, 7, 16, 31, 32, 33, 100, 257};
    return {block, 2 * block, 3 * block, 5 * block};
  }
};

// |fp32 sum - exact| <= (K + 1) eps * sum |w x|, plus one rounding of beta y.
TEST_P(MatVecTest, MatchesDoublePrecisionOnEveryPath) {
  ThreadPool pool(2);
  const Context ctx{.pool = &pool};
  for (int64_t columns : Columns()) {
    for (int64_t rows : {1, 2, 3, 4, 5, 9, 18}) {
      for (int64_t batch : {1, 2, 3, 5, 8, 11}) {
        const RandomMatrix w =
            MakeRandomMatrix(encoding(), rows, columns, rows * 31 + batch, 3);
        const std::vector<float> x = RandomVector(batch * columns, 5);
        const std::vector<float> before = RandomVector(batch * rows, 6);
        std::vector<float> values(rows * columns);
        Dequantize(ctx, w.view, TensorView(values.data(), {rows, columns}));
        for (Isa isa : Paths()) {
          SetIsa(isa);
          for (float beta : {0.0f, 1.0f, -0.5f}) {
            std::vector<float> y = before;
            if (beta == 0) y.assign(y.size(), std::nanf(""));
            QuantMatVec(ctx, w.view,
                        ConstTensorView(x.data(), {batch, columns}),
                        TensorView(y.data(), {batch, rows}), beta);
            for (int64_t b = 0; b < batch; ++b) {
              for (int64_t r = 0; r < rows; ++r) {
                double sum = 0, magnitude = 0;
                for (int64_t k = 0; k < columns; ++k) {
                  const double term =
                      double{values[r * columns + k]} * x[b * columns + k];
                  sum += term;
                  magnitude += std::abs(term);
                }
                const double kept =
                    beta == 0 ? 0 : double{beta} * before[b * rows + r];
                const double tolerance =
                    0x1p-23 * ((columns + 1) * magnitude + 2 * std::abs(kept));
                EXPECT_NEAR(y[b * rows + r], kept + sum, tolerance)
                    << NameOf(isa) << " " << rows << "x" << columns << " batch "
                    << batch << " beta " << beta;
              }
            }
          }
        }
      }
    }
  }
}

// Threads, batch and the choice of rows change no bit.
TEST_P(MatVecTest, ResultDoesNotDependOnGrouping) {
  const int64_t rows = 203, columns = 2 * kMaxBlockElements, batch = 8;
  const RandomMatrix w = MakeRandomMatrix(encoding(), rows, columns, 11);
  const std::vector<float> x = RandomVector(batch * columns, 12);
  for (Isa isa : Paths()) {
    SetIsa(isa);
    ThreadPool one(1);
    std::vector<float> expected(batch * rows);
    for (int64_t b = 0; b < batch; ++b) {
      QuantMatVec({.pool = &one}, w.view,
                  ConstTensorView(&x[b * columns], {columns}),
                  TensorView(&expected[b * rows], {rows}), 0);
    }
    for (int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      const Context ctx{.pool = &pool};
      std::vector<float> y(batch * rows);
      QuantMatVec(ctx, w.view, ConstTensorView(x.data(), {batch, columns}),
                  TensorView(y.data(), {batch, rows}), 0);
      EXPECT_EQ(y, expected) << NameOf(isa) << " threads " << threads;
      std::vector<float> part(61);
      QuantMatVec(ctx, w.view.Rows(71, 132),
                  ConstTensorView(x.data(), {columns}),
                  TensorView(part.data(), {61}), 0);
      EXPECT_EQ(part, std::vector<float>(expected.begin() + 71,
                                         expected.begin() + 132));
    }
  }
}

TEST_P(MatVecTest, StridedActivationsAndResults) {
  const int64_t rows = 6, columns = kMaxBlockElements, batch = 3;
  const RandomMatrix w = MakeRandomMatrix(encoding(), rows, columns, 21);
  const std::vector<float> x = RandomVector(batch * (columns + 5), 22);
  ConstTensorView strided_x(x.data(), {batch, columns});
  strided_x.stride[0] = columns + 5;
  std::vector<float> y(batch * (rows + 2), 9.0f);
  TensorView strided_y(y.data(), {batch, rows});
  strided_y.stride[0] = rows + 2;
  ThreadPool pool(2);
  const Context ctx{.pool = &pool};
  QuantMatVec(ctx, w.view, strided_x, strided_y, 0);
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<float> expected(rows);
    QuantMatVec(ctx, w.view, ConstTensorView(&x[b * (columns + 5)], {columns}),
                TensorView(expected.data(), {rows}), 0);
    for (int64_t r = 0; r < rows; ++r) {
      EXPECT_EQ(y[b * (rows + 2) + r], expected[r]);
    }
    EXPECT_EQ(y[b * (rows + 2) + rows], 9.0f);
  }
}

INSTANTIATE_TEST_SUITE_P(Encodings, MatVecTest,
                         ::testing::Range(0, kEncodingCount),
                         [](const ::testing::TestParamInfo<int>& info) {
                           return NameOf(static_cast<Encoding>(info.param));
                         });

}  // namespace
}  // namespace caracal::kernels
