#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include "kernels/common/kernel_testing.h"

namespace caracal::kernels {
namespace {

using testing::AvailableIsas;
using testing::PoolContext;
using testing::ScopedIsa;
using testing::TestMatrix;
using testing::Uniform;

// Twice in the shard [10, 15), its borders, and ids of other shards.
std::vector<int32_t> Ids() { return {12, 9, 10, 14, 15, 12, -1, 12}; }

TensorView Ints(std::vector<int32_t>& v) {
  return TensorView(v.data(), {static_cast<int64_t>(v.size())});
}

TEST(Embedding, ForwardCopiesRowsOfThisShard) {
  PoolContext pool(3);
  std::vector<int32_t> ids = Ids();
  const int64_t rows = ids.size();
  for (int64_t columns : {1, 7, 64, 130}) {
    TestMatrix table(5, columns, 3, Uniform(1));
    TestMatrix out(rows, columns, 2, Uniform(2));
    EmbeddingForward(pool.ctx, Ints(ids), table.view(), 10, out.view());
    for (int64_t r = 0; r < rows; ++r) {
      const bool here = ids[r] >= 10 && ids[r] < 15;
      for (int64_t c = 0; c < columns; ++c) {
        ASSERT_EQ(out.at(r, c), here ? table.at(ids[r] - 10, c) : 0.0f);
      }
    }
    EXPECT_TRUE(out.PaddingIntact());
  }
}

// Sums in the order of rows, so bit for bit what a plain loop gives.
TEST(Embedding, BackwardAddsInTheOrderOfRows) {
  std::vector<int32_t> ids = Ids();
  const int64_t rows = ids.size();
  for (Isa isa : AvailableIsas()) {
    ScopedIsa scoped(isa);
    for (int threads : {1, 2, 5}) {
      PoolContext pool(threads);
      for (int64_t columns : {1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 65, 200}) {
        TestMatrix dout(rows, columns, 1, Uniform(1));
        TestMatrix dtable(5, columns, 2, Uniform(2)), expected = dtable;
        EmbeddingBackward(pool.ctx, Ints(ids), dout.view(), 10, dtable.view());
        for (int64_t r = 0; r < rows; ++r) {
          if (ids[r] < 10 || ids[r] >= 15) continue;
          for (int64_t c = 0; c < columns; ++c) {
            expected.at(ids[r] - 10, c) += dout.at(r, c);
          }
        }
        ASSERT_TRUE(dtable.SameBits(expected))
            << NameOf(isa) << " columns " << columns;
      }
    }
  }
}

// <g, forward(table)> is linear in the table; its gradient is backward(g).
TEST(Embedding, BackwardIsTheTransposeOfForward) {
  PoolContext pool(2);
  std::vector<int32_t> ids = Ids();
  const int64_t rows = ids.size(), columns = 6;
  TestMatrix g(rows, columns), table(5, columns), out(rows, columns);
  TestMatrix dtable(5, columns);
  // Small integers: every sum is exact.
  for (int64_t i = 0; i < rows * columns; ++i) g.row(0)[i] = i % 7 - 3;
  for (int64_t i = 0; i < 5 * columns; ++i) table.row(0)[i] = i % 5 - 2;
  EmbeddingForward(pool.ctx, Ints(ids), table.view(), 10, out.view());
  EmbeddingBackward(pool.ctx, Ints(ids), g.view(), 10, dtable.view());
  double left = 0, right = 0;
  for (int64_t i = 0; i < rows * columns; ++i)
    left += g.row(0)[i] * out.row(0)[i];
  for (int64_t i = 0; i < 5 * columns; ++i) {
    right += dtable.row(0)[i] * table.row(0)[i];
  }
  EXPECT_EQ(left, right);
  EXPECT_NE(left, 0);
}

}  // namespace
}  // namespace caracal::kernels
