// The embedding's gather on the GPU, exact.
#include "kernels/embedding/embedding_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/common/cuda_testing.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::RoundToBf16;
using testing::Uniform;
using testing::VectorView;

template <typename Element>
void Check(int64_t columns) {
  const int64_t vocabulary = 50, begin = 1000;
  const DeviceMatrix<Element> table(vocabulary, columns, Uniform(columns));
  // The first, the last, a repetition, and those of other shards.
  const std::vector<int32_t> id = {1000, 1049, 1007, 1007, 999,
                                   1050, 0,    -1,   1023};
  const DeviceArray<int32_t> ids(id);
  const int64_t rows = id.size();
  const DeviceMatrix<uint16_t> out(rows, columns);
  EmbeddingForwardCuda({}, VectorView(ids), table.View(), begin, out.View());
  const std::vector<double> got = out.Host(), from = table.Host();
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t row = id[r] - begin;
    for (int64_t c = 0; c < columns; ++c) {
      const double expected =
          row < 0 || row >= vocabulary
              ? 0
              : RoundToBf16(static_cast<float>(from[row * columns + c]));
      ASSERT_EQ(got[r * columns + c], expected)
          << "columns " << columns << " at " << r << "," << c;
    }
  }
  EXPECT_TRUE(out.GapsIntact());
}

TEST(EmbeddingCuda, GathersRowsAndZeros) {
  for (int64_t columns : {8, 576, 1024, 4096, 4104, 8200}) {
    Check<uint16_t>(columns);
    Check<float>(columns);
  }
}

TEST(EmbeddingCuda, ScatterUndoesAGather) {
  for (int64_t columns : {8, 576, 4104}) {
    const std::vector<int32_t> id = {5, 0, 19, 7};
    const DeviceArray<int32_t> ids(id);
    const int64_t rows = id.size(), all = 20;
    const DeviceMatrix<uint16_t> x(rows, columns, Uniform(1));
    const DeviceMatrix<uint16_t> out(all, columns, Uniform(2));
    std::vector<double> expected = out.Host();
    const std::vector<double> from = x.Host();
    for (int64_t r = 0; r < rows; ++r) {
      std::copy(&from[r * columns], &from[r * columns] + columns,
                &expected[id[r] * columns]);
    }
    ScatterRowsCuda({}, VectorView(ids), x.View(), out.View());
    EXPECT_EQ(out.Host(), expected) << columns << " columns";
    EXPECT_TRUE(out.GapsIntact());
    const DeviceMatrix<uint16_t> back(rows, columns);
    EmbeddingForwardCuda({}, VectorView(ids), out.View(), 0, back.View());
    EXPECT_EQ(back.Host(), from);
  }
}

}  // namespace
}  // namespace caracal::kernels
