#include "jobs/train/batch_reader.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal {
namespace {

constexpr int64_t kRows = 7, kSeqLen = 3, kBatch = 2;

// Rows of tokens 4 r, 4 r + 1, ...
absl::StatusOr<std::unique_ptr<PackedDataset>> Data(const std::string& path) {
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
  std::vector<int32_t> tokens(kRows * (kSeqLen + 1));
  std::iota(tokens.begin(), tokens.end(), 0);
  const uint64_t shape[] = {kRows, kSeqLen + 1};
  RETURN_IF_ERROR(
      file.Write<int32_t>("/tokens", shape, absl::MakeConstSpan(tokens)));
  RETURN_IF_ERROR(file.Close());
  return PackedDataset::Open(path);
}

std::vector<int32_t> FirstTokens(BatchBuffer& batch) {
  const TokenBatch all = batch.Rows(0, batch.count());
  std::vector<int32_t> firsts;
  for (int64_t r = 0; r < batch.count(); ++r) {
    firsts.push_back(all.tokens.As<int32_t>()[r * kSeqLen]);
  }
  return firsts;
}

TEST(BatchReaderTest, AheadOrNotTheRowsAreThose) {
  TemporaryFolder folder;
  ASSERT_OK_AND_ASSIGN(const auto data, Data(folder.File("rows.h5")));
  RowOrder order(kRows, /*shuffle=*/true, 3);
  for (const bool ahead : {false, true}) {
    BatchReader reader(data.get(), order, kBatch, kSeqLen, false, ahead);
    const auto expect = [&](int64_t first, std::optional<int64_t> next) {
      ASSERT_OK_AND_ASSIGN(BatchBuffer * batch, reader.Read(first, next));
      EXPECT_EQ(FirstTokens(*batch),
                (std::vector<int32_t>{
                    static_cast<int32_t>(4 * order.RowOf(first)),
                    static_cast<int32_t>(4 * order.RowOf(first + 1))}));
    };
    expect(0, 2);
    expect(2, 4);
    // Not what was said.
    expect(8, 10);
    expect(10, std::nullopt);
    expect(12, 14);
  }
}

}  // namespace
}  // namespace caracal
