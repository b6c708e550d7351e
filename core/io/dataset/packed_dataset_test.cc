#include "core/io/dataset/packed_dataset.h"

#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr int64_t kRows = 7;
constexpr int64_t kRowTokens = 5;

// Both ways to hold the rows.
class PackedDatasetTest : public ::testing::TestWithParam<bool> {
 protected:
  PackedDatasetTest() : path_(folder_.File("rows.h5")) {
    // Values follow from the place: tokens count up.
    tokens_.resize(kRows * kRowTokens);
    std::iota(tokens_.begin(), tokens_.end(), 0);
    for (const int32_t token : tokens_) {
      mask_.push_back(token % 3 == 0);
      document_.push_back(token / 6);
    }
  }

  PackedDatasetOptions Options() const {
    PackedDatasetOptions options;
    if (!GetParam()) options.max_memory_bytes = 0;
    return options;
  }

  // Writes the datasets that are not empty and the attributes of `write`.
  template <typename F>
  void Write(F write) {
    ASSERT_OK_AND_ASSIGN(hdf5::File file, hdf5::File::Create(path_));
    const hdf5::Shape shape = {kRows, kRowTokens};
    if (!tokens_.empty()) {
      ASSERT_OK(file.Write<int32_t>(kTokensDataset, shape, tokens_));
    }
    if (!mask_.empty()) {
      ASSERT_OK(file.Write<uint8_t>(kLossMaskDataset, shape, mask_));
    }
    if (!document_.empty()) {
      ASSERT_OK(file.Write<int64_t>(kDocumentDataset, shape, document_));
    }
    write(file);
    ASSERT_OK(file.Close());
  }
  void Write() {
    Write([](hdf5::File&) {});
  }

  void ExpectRefused(const PackedDatasetOptions& options, absl::StatusCode code,
                     const std::string& message) {
    EXPECT_THAT(
        PackedDataset::Open(path_, options),
        StatusIs(code, AllOf(HasSubstr("rows.h5"), HasSubstr(message))));
  }

  TemporaryFolder folder_;
  const std::string path_;
  std::vector<int32_t> tokens_;
  std::vector<uint8_t> mask_;
  std::vector<int64_t> document_;
};

TEST_P(PackedDatasetTest, ReadsRowsByNumber) {
  Write([](hdf5::File& file) {
    ASSERT_OK(file.SetAttribute("/", "tokenizer_fingerprint", "abc"));
  });
  PackedDatasetOptions options = Options();
  options.vocab_size = kRows * kRowTokens;
  options.seq_len = kRowTokens - 1;
  options.max_seq_len = kRowTokens - 1;
  options.tokenizer_fingerprint = "abc";
  ASSERT_OK_AND_ASSIGN(const auto data, PackedDataset::Open(path_, options));
  EXPECT_EQ(data->rows(), kRows);
  EXPECT_EQ(data->seq_len(), kRowTokens - 1);
  EXPECT_EQ(data->tokenizer_fingerprint(), "abc");
  EXPECT_OK(data->CheckAllRows());
  std::vector<int32_t> tokens(kRowTokens);
  std::vector<uint8_t> mask(kRowTokens);
  std::vector<int64_t> document(kRowTokens);
  for (const int64_t row : {6, 0, 3, 3}) {
    ASSERT_OK(data->ReadRow(row, absl::MakeSpan(tokens), absl::MakeSpan(mask),
                            absl::MakeSpan(document)));
    for (int64_t i = 0; i < kRowTokens; ++i) {
      EXPECT_EQ(tokens[i], row * kRowTokens + i);
      EXPECT_EQ(mask[i], tokens[i] % 3 == 0);
      EXPECT_EQ(document[i], tokens[i] / 6);
    }
  }
  std::fill(mask.begin(), mask.end(), 9);
  ASSERT_OK(data->ReadRow(1, {}, absl::MakeSpan(mask), {}));
  EXPECT_EQ(mask[1], 1);
}

TEST_P(PackedDatasetTest, TokensAloneAreEnough) {
  mask_.clear();
  document_.clear();
  Write();
  ASSERT_OK_AND_ASSIGN(const auto data, PackedDataset::Open(path_, Options()));
  EXPECT_FALSE(data->has_loss_mask());
  EXPECT_FALSE(data->has_document());
  EXPECT_EQ(data->tokenizer_fingerprint(), "");
  std::vector<int32_t> tokens(kRowTokens);
  std::vector<uint8_t> mask(kRowTokens, 7);
  std::vector<int64_t> document(kRowTokens, 7);
  ASSERT_OK(data->ReadRow(2, absl::MakeSpan(tokens), absl::MakeSpan(mask),
                          absl::MakeSpan(document)));
  EXPECT_EQ(tokens[0], 2 * kRowTokens);
  EXPECT_THAT(mask, Each(1));
  EXPECT_THAT(document, Each(0));
}

TEST_P(PackedDatasetTest, IdsOutsideOfTheVocabularyAreNamed) {
  tokens_[2 * kRowTokens + 3] = -4;
  Write();
  const auto data = PackedDataset::Open(path_, Options());
  // In memory, Open sees it; else reading does.
  const absl::Status status =
      data.ok() ? (*data)->CheckAllRows() : data.status();
  EXPECT_EQ(data.ok(), !GetParam());
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kOutOfRange,
                               HasSubstr("rows.h5: /tokens[2, 3] is -4")));

  tokens_[2 * kRowTokens + 3] = 13;
  Write();
  PackedDatasetOptions options = Options();
  options.vocab_size = 34;
  const auto last = PackedDataset::Open(path_, options);
  EXPECT_THAT(last.ok() ? (*last)->CheckAllRows() : last.status(),
              StatusIs(absl::StatusCode::kOutOfRange,
                       HasSubstr("/tokens[6, 4] is 34; an id from 0 to 33")));
}

TEST_P(PackedDatasetTest, MasksAreZeroOrOne) {
  mask_[6] = 2;
  Write();
  const auto data = PackedDataset::Open(path_, Options());
  EXPECT_THAT(data.ok() ? (*data)->CheckAllRows() : data.status(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("/loss_mask[1, 1] is 2")));
}

TEST_P(PackedDatasetTest, LengthsMustSuit) {
  Write();
  PackedDatasetOptions options = Options();
  options.seq_len = 8;
  ExpectRefused(options, absl::StatusCode::kInvalidArgument,
                "rows of 5 tokens (seq_len 4), but seq_len 8");
  options = Options();
  options.max_seq_len = 3;
  ExpectRefused(options, absl::StatusCode::kInvalidArgument,
                "longer than the model's context of 3");
}

TEST_P(PackedDatasetTest, OtherTokenizersAreRefused) {
  Write([](hdf5::File& file) {
    ASSERT_OK(file.SetAttribute("/", "tokenizer_fingerprint", "abc"));
    ASSERT_OK(file.SetAttribute("/", "max_token_id", int64_t{34}));
  });
  PackedDatasetOptions options = Options();
  options.tokenizer_fingerprint = "xyz";
  ExpectRefused(options, absl::StatusCode::kFailedPrecondition,
                "another tokenizer (fingerprint abc)");
  options = Options();
  options.vocab_size = 30;
  ExpectRefused(options, absl::StatusCode::kOutOfRange, "holds the id 34");
}

TEST_P(PackedDatasetTest, OtherShapesAndTypesAreNamed) {
  mask_.clear();
  Write([](hdf5::File& file) {
    const std::vector<uint8_t> mask(kRows * kRowTokens);
    ASSERT_OK(file.Write<uint8_t>(kLossMaskDataset, {kRowTokens, kRows}, mask));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "/loss_mask is [5, 7], but /tokens is [7, 5]");

  Write([&](hdf5::File& file) {
    ASSERT_OK(
        file.Write<int32_t>(kLossMaskDataset, {kRows, kRowTokens}, tokens_));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "/loss_mask is i32 of 2 dimensions; u8 [rows, tokens]");

  std::vector<int32_t> kept;
  kept.swap(tokens_);
  Write([&](hdf5::File& file) {
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {kept.size()}, kept));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "/tokens is i32 of 1 dimensions");

  Write([&](hdf5::File& file) {
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {kept.size(), 1}, kept));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "/tokens is [35, 1]");

  Write([&](hdf5::File& file) {
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {0, 5}, {}));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "/tokens is [0, 5]");

  Write();
  ExpectRefused(Options(), absl::StatusCode::kNotFound, "/tokens");
}

TEST_P(PackedDatasetTest, LaterVersionsAreRefused) {
  Write([](hdf5::File& file) {
    ASSERT_OK(file.SetAttribute("/", "format_version", int64_t{2}));
  });
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument,
                "format_version 2 is not known");
}

TEST_P(PackedDatasetTest, OtherFilesAreRefused) {
  ExpectRefused(Options(), absl::StatusCode::kNotFound, "");
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(path_, "not HDF5"));
  ExpectRefused(Options(), absl::StatusCode::kInvalidArgument, "HDF5");
}

TEST_P(PackedDatasetTest, ManyThreadsRead) {
  Write();
  ASSERT_OK_AND_ASSIGN(const auto data, PackedDataset::Open(path_, Options()));
  std::vector<int> wrong(3, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::vector<int32_t> tokens(kRowTokens);
      for (int64_t i = 0; i < 60; ++i) {
        const int64_t row = (i * 5 + t) % kRows;
        const absl::Status status =
            data->ReadRow(row, absl::MakeSpan(tokens), {}, {});
        wrong[t] += !status.ok() || tokens[0] != row * kRowTokens;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, Each(0));
}

INSTANTIATE_TEST_SUITE_P(Held, PackedDatasetTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "InMemory" : "OnDisk";
                         });

}  // namespace
}  // namespace caracal
