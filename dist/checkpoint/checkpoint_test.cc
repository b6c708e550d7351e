// Writing, reading back, and finding damage.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "dist/checkpoint/reader.h"
#include "dist/checkpoint/sample_contents.h"
#include "dist/checkpoint/writer.h"

namespace caracal {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kFolder[] = "/run/checkpoints/checkpoint-00000005";
constexpr char kRankFile[] =
    "/run/checkpoints/checkpoint-00000005/rank-00000.h5";

TEST(CheckpointTest, RoundTripsBitExactly) {
  FaultFileSystem files;
  const SampleContents sample(5);
  ASSERT_OK(WriteCheckpoint(&files, kFolder, sample.get()));
  sample.ExpectIn(&files, kFolder);
  EXPECT_THAT(*files.List(kFolder),
              ElementsAre("manifest.json", "rank-00000.h5"));
}

TEST(CheckpointTest, RoundTripsOnARealDisk) {
  const TemporaryFolder folder;
  const SampleContents sample(5, 1 << 20);
  const std::string path = folder.File("a/b");
  ASSERT_OK(WriteCheckpoint(FileSystem::Posix(), path, sample.get()));
  sample.ExpectIn(FileSystem::Posix(), path);
}

// 200 links to a group of 200 links; a third such level would be 8 million.
TEST(CheckpointTest, GroupsLinkedManyTimesAreRefused) {
  const TemporaryFolder folder;
  FileSystem* const files = FileSystem::Posix();
  const std::string path = folder.File("c");
  ASSERT_OK(WriteCheckpoint(files, path, SampleContents(5).get()));
  const hid_t file =
      H5Fopen((path + "/rank-00000.h5").c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  const hid_t group =
      H5Gcreate2(file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  for (int i = 0; i < 200; ++i) {
    const std::string name = absl::StrCat("g", i);
    ASSERT_GE(
        H5Lcreate_hard(file, "g", file, name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
        0);
    ASSERT_GE(H5Lcreate_hard(file, "scalar", group, name.c_str(), H5P_DEFAULT,
                             H5P_DEFAULT),
              0);
  }
  H5Gclose(group);
  H5Fclose(file);
  ASSERT_OK_AND_ASSIGN(Manifest manifest, ReadManifest(files, path));
  ASSERT_OK_AND_ASSIGN(manifest.rank_files[0],
                       DescribeRankFile(files, path, "rank-00000.h5"));
  ASSERT_OK(files->WriteFileAtomically(path + "/manifest.json",
                                       FormatManifest(manifest)));
  ASSERT_OK_AND_ASSIGN(const auto reader, CheckpointReader::Open(files, path));
  EXPECT_THAT(reader.TensorNames(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("more than 32768 groups and tensors")));
}

TEST(CheckpointTest, NanAndSignsSurvive) {
  const std::vector<float> values = {
      -0.0f, std::numeric_limits<float>::quiet_NaN(),
      std::numeric_limits<float>::signaling_NaN(),
      -std::numeric_limits<float>::infinity(),
      std::numeric_limits<float>::denorm_min()};
  CheckpointContents contents;
  contents.tensors = {{"t", DType::kF32, {5}, values.data(), {}}};
  contents.numbers = {{"inf", std::numeric_limits<double>::infinity()}};
  FaultFileSystem files;
  ASSERT_OK(WriteCheckpoint(&files, "/c", contents));
  ASSERT_OK_AND_ASSIGN(const auto reader, CheckpointReader::Open(&files, "/c"));
  std::vector<float> read(5);
  ASSERT_OK(reader.ReadTensor("t", DType::kF32, {5}, read.data()));
  EXPECT_EQ(std::memcmp(read.data(), values.data(), 20), 0);
  EXPECT_EQ(*reader.Number("inf"), std::numeric_limits<double>::infinity());
}

TEST(CheckpointTest, TheSameContentsGiveTheSameBytes) {
  FaultFileSystem files;
  const SampleContents sample(5);
  ASSERT_OK(WriteCheckpoint(&files, "/a", sample.get()));
  ASSERT_OK(WriteCheckpoint(&files, "/b", sample.get()));
  EXPECT_EQ(*files.ReadFile("/a/rank-00000.h5"),
            *files.ReadFile("/b/rank-00000.h5"));
  EXPECT_EQ(*files.ReadFile("/a/manifest.json"),
            *files.ReadFile("/b/manifest.json"));
}

TEST(CheckpointTest, ReplacesACheckpointOfTheSameName) {
  FaultFileSystem files;
  ASSERT_OK(WriteCheckpoint(&files, kFolder, SampleContents(5, 256).get()));
  const SampleContents second(6);
  ASSERT_OK(WriteCheckpoint(&files, kFolder, second.get()));
  second.ExpectIn(&files, kFolder);
}

TEST(CheckpointTest, RefusesContentsThatCannotBeStored) {
  FaultFileSystem files;
  const float value = 1;
  const auto expect_refused = [&](const CheckpointTensor& tensor,
                                  const std::string& message) {
    CheckpointContents contents;
    contents.tensors = {tensor};
    EXPECT_THAT(
        WriteCheckpoint(&files, "/c", contents),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_FALSE(files.Exists("/c"));
  };
  for (const char* name : {"", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä",
                           "state", "state/x"}) {
    expect_refused({name, DType::kF32, {1}, &value, {}},
                   "tensor '" + std::string(name) + "'");
  }
  expect_refused({"a", DType::kBF16, {1}, &value, {}}, "type bf16");
  expect_refused({"a", DType::kF32, {1}, nullptr, {}}, "no data");
  expect_refused({"a", DType::kF32, {1}, &value, TensorShard{{4}, {4}}},
                 "[1] at [4] lies outside [4]");
  expect_refused({"a", DType::kF32, {1}, &value, TensorShard{{4, 1}, {0}}},
                 "lies outside");
  CheckpointContents contents;
  contents.strings = {{"a", ""}};
  contents.integers = {{"a", 1}};
  EXPECT_THAT(
      WriteCheckpoint(&files, "/c", contents),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("state 'a'")));
  contents = {};
  contents.layout.data = 2;
  EXPECT_THAT(WriteCheckpoint(&files, "/c", contents),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/c")));
  contents = {};
  contents.tensors = {{"a", DType::kF32, {1}, &value, {}},
                      {"a", DType::kF32, {1}, &value, {}}};
  EXPECT_THAT(WriteCheckpoint(&files, "/c", contents),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("/a")));
  EXPECT_FALSE(files.Exists("/c"));
}

class DamagedCheckpointTest : public ::testing::Test {
 protected:
  DamagedCheckpointTest() {
    CARACAL_CHECK_OK(WriteCheckpoint(&files_, kFolder, sample_.get()));
  }
  absl::Status Open() {
    return CheckpointReader::Open(&files_, kFolder).status();
  }

  FaultFileSystem files_;
  const SampleContents sample_{5};
};

TEST_F(DamagedCheckpointTest, AnyFlippedByteIsFound) {
  ASSERT_OK_AND_ASSIGN(const uint64_t bytes, files_.FileSize(kRankFile));
  for (uint64_t i = 0; i < bytes; i += 7) {
    files_.FlipBits(kRankFile, i, 1 << i % 8);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                                 AllOf(HasSubstr(kRankFile),
                                       HasSubstr("the manifest says"))));
    files_.FlipBits(kRankFile, i, 1 << i % 8);
  }
  EXPECT_OK(Open());
}

TEST_F(DamagedCheckpointTest, AnyCutIsFound) {
  ASSERT_OK_AND_ASSIGN(const std::string whole, files_.ReadFile(kRankFile));
  for (size_t bytes = 0; bytes < whole.size(); bytes += 97) {
    ASSERT_OK(files_.WriteFileAtomically(kRankFile, whole.substr(0, bytes)));
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                                 AllOf(HasSubstr(kRankFile),
                                       HasSubstr("the manifest says"))));
  }
  ASSERT_OK(files_.WriteFileAtomically(kRankFile, whole + "x"));
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, _));
}

TEST_F(DamagedCheckpointTest, MissingFileIsNamed) {
  ASSERT_OK(files_.Remove(kRankFile));
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr(kRankFile), HasSubstr("is missing"))));
}

TEST_F(DamagedCheckpointTest, WithoutManifestThereIsNoCheckpoint) {
  ASSERT_OK(files_.Remove(std::string(kFolder) + "/manifest.json"));
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("manifest.json: is missing")));
}

TEST_F(DamagedCheckpointTest, GarbageManifest) {
  ASSERT_OK(files_.WriteFileAtomically(std::string(kFolder) + "/manifest.json",
                                       "\x01garbage"));
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                               HasSubstr("manifest.json")));
}

TEST_F(DamagedCheckpointTest, AnotherModel) {
  ASSERT_OK_AND_ASSIGN(const auto reader,
                       CheckpointReader::Open(&files_, kFolder));
  EXPECT_OK(reader.CheckModel("model-a"));
  EXPECT_THAT(reader.CheckModel("model-b"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("model-a"), HasSubstr("model-b"),
                             HasSubstr(kFolder))));
}

TEST_F(DamagedCheckpointTest, SeveralRanks) {
  Manifest manifest = *ReadManifest(&files_, kFolder);
  manifest.layout.tensor = 2;
  manifest.rank_files.push_back(manifest.rank_files[0]);
  manifest.rank_files[1].name = RankFileName(1);
  const std::string path = std::string(kFolder) + "/manifest.json";
  ASSERT_OK(files_.WriteFileAtomically(path, FormatManifest(manifest)));
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("rank-00001.h5")));
}

TEST_F(DamagedCheckpointTest, TensorsThatAreNotWhatWasAskedFor) {
  ASSERT_OK_AND_ASSIGN(const auto reader,
                       CheckpointReader::Open(&files_, kFolder));
  std::vector<float> out(64);
  EXPECT_THAT(reader.ReadTensor("parameters/layers/1/w_q", DType::kF32, {64},
                                out.data()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("parameters/layers/1/w_q")));
  EXPECT_THAT(reader.ReadTensor("parameters/layers/0/w_q", DType::kF32, {16, 4},
                                out.data()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("rank-00000.h5"),
                             HasSubstr("parameters/layers/0/w_q has shape "
                                       "[4, 16], expected [16, 4]"))));
  EXPECT_THAT(reader.ReadTensor("parameters/layers/0/w_q", DType::kI32, {4, 16},
                                out.data()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("type i32, found f32")));
  EXPECT_THAT(reader.String("nothing"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing")));
  EXPECT_THAT(reader.Integer("schedule"),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(CheckpointNameTest, Names) {
  EXPECT_TRUE(IsCheckpointName("a/b-c_d.e/0"));
  EXPECT_FALSE(IsCheckpointName("a/b", 1));
  std::string deep = "a";
  for (int i = 1; i < 16; ++i) deep += "/a";
  EXPECT_TRUE(IsCheckpointName(deep));
  EXPECT_FALSE(IsCheckpointName(deep + "/a"));
}

}  // namespace
}  // namespace caracal
