#include "core/io/hdf5/hdf5.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstring>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal::hdf5 {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Hdf5Test : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  const std::string path_ = folder_.File("file.h5");
};

template <typename T>
void ExpectRoundTrip(File* file, const std::string& name, const Shape& shape,
                     const std::vector<T>& data) {
  ASSERT_OK(file->Write<T>(name, shape, data));
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, file->OpenDataset(name));
  EXPECT_EQ(dataset.info().shape, shape);
  EXPECT_EQ(dataset.info().type, TypeOf<T>::value);
  EXPECT_FALSE(dataset.info().extensible);
  std::vector<T> read(data.size());
  ASSERT_OK(dataset.Read<T>(absl::MakeSpan(read)));
  // By bytes: NaNs must come back as they were.
  EXPECT_EQ(std::memcmp(read.data(), data.data(), data.size() * sizeof(T)), 0);
}

TEST_F(Hdf5Test, EveryTypeRoundTripsBitExactly) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  const float nan = std::numeric_limits<float>::signaling_NaN();
  ExpectRoundTrip<float>(&file, "/f32", {2, 3},
                         {0, -0.0f, 1e-45f, nan, 3.4e38f, -1});
  ExpectRoundTrip<double>(&file, "/f64", {2}, {5e-324, -1e308});
  ExpectRoundTrip<int32_t>(&file, "/i32", {1, 2}, {INT32_MIN, INT32_MAX});
  ExpectRoundTrip<int64_t>(&file, "/i64", {2, 1}, {INT64_MIN, INT64_MAX});
  ExpectRoundTrip<uint8_t>(&file, "/u8", {3}, {0, 1, 255});
  ExpectRoundTrip<uint64_t>(&file, "/u64", {2}, {0, UINT64_MAX});
  ExpectRoundTrip<float>(&file, "/deep/in/groups/scalar", {}, {7});
  ExpectRoundTrip<float>(&file, "/empty", {4, 0, 2}, {});
  EXPECT_OK(file.Close());
}

TEST_F(Hdf5Test, LargeDatasetsAreMovedInSlabs) {
  // 3 rows of 12 MB, and one dimension of 30 MB.
  std::vector<float> data(9000000);
  std::iota(data.begin(), data.end(), 0.0f);
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ExpectRoundTrip<float>(&file, "/rows", {3, 3000000}, data);
  ExpectRoundTrip<float>(&file, "/line", {9000000}, data);
}

TEST_F(Hdf5Test, ReadsRows) {
  ASSERT_OK_AND_ASSIGN(File writer, File::Create(path_));
  std::vector<int32_t> data(5 * 2 * 3);
  std::iota(data.begin(), data.end(), 0);
  ASSERT_OK(writer.Write<int32_t>("/a", {5, 2, 3}, data));
  ASSERT_OK(writer.Close());
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_));
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, file.OpenDataset("/a"));
  EXPECT_EQ(dataset.rows(), 5);
  EXPECT_EQ(dataset.row_elements(), 6);
  for (uint64_t first = 0; first <= 5; ++first) {
    for (uint64_t count = 0; count <= 5 - first; ++count) {
      std::vector<int32_t> out(count * 6);
      ASSERT_OK(dataset.ReadRows<int32_t>(first, count, absl::MakeSpan(out)));
      EXPECT_TRUE(std::equal(out.begin(), out.end(), &data[first * 6]));
    }
  }
  std::vector<int32_t> out(12);
  EXPECT_THAT(dataset.ReadRows<int32_t>(4, 2, absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kOutOfRange,
                       AllOf(HasSubstr("file.h5"), HasSubstr("/a"))));
  EXPECT_THAT(dataset.ReadRows<int32_t>(UINT64_MAX, 2, absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kOutOfRange, _));
  EXPECT_THAT(dataset.ReadRows<int32_t>(1, 1, absl::MakeSpan(out)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("12")));
}

TEST_F(Hdf5Test, AppendsRows) {
  for (const int deflate : {0, 6}) {
    ASSERT_OK_AND_ASSIGN(File writer, File::Create(path_));
    ASSERT_OK_AND_ASSIGN(
        Dataset dataset,
        writer.CreateExtensible<int64_t>(
            "/rows", {3}, {.chunk_rows = 4, .deflate_level = deflate}));
    std::vector<int64_t> all;
    for (int64_t batch = 0; batch < 10; ++batch) {
      std::vector<int64_t> rows(3 * batch);
      std::iota(rows.begin(), rows.end(), static_cast<int64_t>(all.size()));
      ASSERT_OK(dataset.Append<int64_t>(rows));
      all.insert(all.end(), rows.begin(), rows.end());
    }
    EXPECT_EQ(dataset.rows(), 45);
    ASSERT_OK(writer.Close());
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(path_));
    ASSERT_OK_AND_ASSIGN(const Dataset read, file.OpenDataset("/rows"));
    EXPECT_TRUE(read.info().extensible);
    EXPECT_EQ(read.info().shape, (Shape{45, 3}));
    std::vector<int64_t> out(45 * 3);
    ASSERT_OK(read.Read<int64_t>(absl::MakeSpan(out)));
    EXPECT_EQ(out, all);
  }
}

TEST_F(Hdf5Test, AppendRefusesWhatDoesNotFit) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK_AND_ASSIGN(Dataset rows,
                       file.CreateExtensible<float>("/rows", {4}));
  const std::vector<float> data(6);
  EXPECT_THAT(rows.Append<float>(data),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("6")));
  const std::vector<double> doubles(4);
  EXPECT_THAT(
      rows.Append<double>(doubles),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("/rows"), HasSubstr("f64"), HasSubstr("f32"))));
  ASSERT_OK(file.Write<float>("/fixed", {2}, {1, 2}));
  ASSERT_OK_AND_ASSIGN(Dataset fixed, file.OpenDataset("/fixed"));
  EXPECT_THAT(
      fixed.Append<float>(data),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("can't grow")));
  EXPECT_THAT(file.CreateExtensible<float>("/none", {0}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(file.CreateExtensible<float>("/huge", {1 << 20, 1 << 20}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(file.CreateExtensible<float>("/x", {2}, {.deflate_level = 10}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(Hdf5Test, StringsRoundTrip) {
  const std::vector<std::string> strings = {"", "a", "größer", "日本", "x\ny"};
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK(file.WriteStrings("/names", strings));
  ASSERT_OK(file.WriteStrings("/none", {}));
  ASSERT_OK(file.Close());
  ASSERT_OK_AND_ASSIGN(const File read, File::Open(path_));
  ASSERT_OK_AND_ASSIGN(const auto names, read.ReadStrings("/names"));
  EXPECT_EQ(names, strings);
  ASSERT_OK_AND_ASSIGN(const auto none, read.ReadStrings("/none"));
  EXPECT_THAT(none, IsEmpty());
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, read.OpenDataset("/names"));
  EXPECT_EQ(dataset.info().type, Type::kString);
  std::vector<uint8_t> bytes(5);
  EXPECT_THAT(
      dataset.Read<uint8_t>(absl::MakeSpan(bytes)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found string")));
}

TEST_F(Hdf5Test, AttributesRoundTrip) {
  const std::string large(1 << 20, 'j');
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK(file.CreateGroup("/state"));
  ASSERT_OK(file.Write<float>("/data", {1}, {1}));
  for (const char* object : {"/", "/state", "/data"}) {
    ASSERT_OK(file.SetAttribute(object, "text", "täxt"));
    ASSERT_OK(file.SetAttribute(object, "empty", ""));
    ASSERT_OK(file.SetAttribute(object, "large", large));
    ASSERT_OK(file.SetAttribute(object, "int", -5));
    ASSERT_OK(file.SetAttribute(object, "uint", UINT64_MAX));
    ASSERT_OK(file.SetAttribute(object, "double", 0.1));
    ASSERT_OK(file.SetUintList(object, "list", {3, 0, UINT64_MAX}));
    ASSERT_OK(file.SetUintList(object, "no_numbers", {}));
  }
  EXPECT_THAT(file.SetAttribute("/", "int", 1),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("'int'")));
  EXPECT_THAT(file.SetAttribute("/none", "int", 1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none")));
  EXPECT_THAT(file.SetAttribute("/", "zero", absl::string_view("a\0b", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("zero")));
  ASSERT_OK(file.Close());

  ASSERT_OK_AND_ASSIGN(const File read, File::Open(path_));
  for (const char* object : {"/", "/state", "/data"}) {
    EXPECT_EQ(*read.StringAttribute(object, "text"), "täxt");
    EXPECT_EQ(*read.StringAttribute(object, "empty"), "");
    EXPECT_EQ(*read.StringAttribute(object, "large"), large);
    EXPECT_EQ(*read.IntAttribute(object, "int"), -5);
    EXPECT_EQ(*read.UintAttribute(object, "uint"), UINT64_MAX);
    EXPECT_EQ(*read.DoubleAttribute(object, "double"), 0.1);
    EXPECT_THAT(*read.UintListAttribute(object, "list"),
                ElementsAre(3, 0, UINT64_MAX));
    EXPECT_THAT(*read.UintListAttribute(object, "no_numbers"), IsEmpty());
    EXPECT_TRUE(*read.HasAttribute(object, "int"));
    EXPECT_FALSE(*read.HasAttribute(object, "no"));
  }
  const auto wrong = [](const char* text) {
    return StatusIs(absl::StatusCode::kInvalidArgument,
                    AllOf(HasSubstr("file.h5"), HasSubstr(text)));
  };
  EXPECT_THAT(read.IntAttribute("/", "uint"), wrong("doesn't fit"));
  EXPECT_THAT(read.UintAttribute("/", "int"), wrong("negative"));
  EXPECT_THAT(read.IntAttribute("/", "text"), wrong("expected an integer"));
  EXPECT_THAT(read.StringAttribute("/", "int"), wrong("expected a string"));
  EXPECT_THAT(read.DoubleAttribute("/", "int"), wrong("floating-point"));
  EXPECT_THAT(read.UintListAttribute("/", "uint"), wrong("expected a list"));
  EXPECT_THAT(read.UintAttribute("/", "list"), wrong("is an array"));
  EXPECT_THAT(read.StringAttribute("/", "no"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("'no'")));
}

TEST_F(Hdf5Test, GroupsAndNames) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK(file.CreateGroup("/b/c"));
  ASSERT_OK(file.CreateGroup("/b/c"));
  ASSERT_OK(file.Write<float>("/a", {1}, {1}));
  ASSERT_OK(file.Write<float>("/b/d", {1}, {1}));
  ASSERT_OK_AND_ASSIGN(const auto root, file.List("/"));
  EXPECT_THAT(root, ElementsAre("a", "b"));
  ASSERT_OK_AND_ASSIGN(const auto b, file.List("/b"));
  EXPECT_THAT(b, ElementsAre("c", "d"));
  EXPECT_TRUE(*file.Exists("/b/c"));
  EXPECT_TRUE(*file.Exists("/"));
  EXPECT_FALSE(*file.Exists("/b/c/x/y"));
  EXPECT_TRUE(*file.IsGroup("/b"));
  EXPECT_FALSE(*file.IsGroup("/a"));
  EXPECT_FALSE(*file.IsGroup("/x"));
  EXPECT_THAT(file.List("/a"), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("is not a group")));
  EXPECT_THAT(file.List("/x"), StatusIs(absl::StatusCode::kNotFound, _));
  EXPECT_THAT(file.CreateGroup("/a"),
              StatusIs(absl::StatusCode::kAlreadyExists, _));
  EXPECT_THAT(file.Write<float>("/a", {1}, {1}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("/a")));
  EXPECT_THAT(file.Write<float>("", {1}, {1}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(file.OpenDataset("/b"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is not a dataset")));
  EXPECT_THAT(file.OpenDataset("/no/such"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("file.h5"), HasSubstr("/no/such"))));
}

TEST_F(Hdf5Test, WrongShapeOfDataToWrite) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  EXPECT_THAT(file.Write<float>("/a", {2, 2}, {1, 2, 3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("3 elements"), HasSubstr("[2, 2]"))));
  EXPECT_THAT(file.Write<float>("/a", Shape(33, 1), {1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("rank")));
  EXPECT_THAT(file.Write<float>("/a", {UINT64_MAX, UINT64_MAX}, {1}),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(Hdf5Test, WrongTypeOrSizeToRead) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK(file.Write<int64_t>("/tokens", {2}, {1, 2}));
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, file.OpenDataset("/tokens"));
  std::vector<int32_t> narrow(2);
  EXPECT_THAT(dataset.Read<int32_t>(absl::MakeSpan(narrow)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("file.h5: /tokens"),
                             HasSubstr("type i32, found i64"))));
  std::vector<int64_t> many(3);
  EXPECT_THAT(dataset.Read<int64_t>(absl::MakeSpan(many)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected 3 elements, found 2")));
  EXPECT_THAT(file.ReadStrings("/tokens"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("expected strings, found i64")));
}

// Reading one element would allocate such a chunk.
TEST_F(Hdf5Test, HugeChunksAreRefused) {
  for (const hsize_t rows : {hsize_t{1} << 15, (hsize_t{1} << 15) + 1}) {
    const hid_t file =
        H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hsize_t shape[] = {1, 1 << 13}, chunk[] = {rows, 1 << 13};
    const hsize_t most[] = {H5S_UNLIMITED, 1 << 13};
    const hid_t space = H5Screate_simple(2, shape, most);
    const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    ASSERT_GE(H5Pset_chunk(properties, 2, chunk), 0);
    const hid_t dataset = H5Dcreate2(file, "rows", H5T_STD_I32LE, space,
                                     H5P_DEFAULT, properties, H5P_DEFAULT);
    ASSERT_GE(dataset, 0);
    H5Dclose(dataset);
    H5Pclose(properties);
    H5Sclose(space);
    ASSERT_GE(H5Fclose(file), 0);
    ASSERT_OK_AND_ASSIGN(const File read, File::Open(path_));
    if (rows == hsize_t{1} << 15) {
      EXPECT_OK(read.OpenDataset("/rows"));
    } else {
      EXPECT_THAT(read.OpenDataset("/rows"),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           AllOf(HasSubstr("/rows: its chunks of 268443648 "
                                           "elements"),
                                 HasSubstr("1024 MiB"))));
    }
  }
}

TEST_F(Hdf5Test, FileThatIsNotThereOrNotHdf5) {
  EXPECT_THAT(File::Open(folder_.File("none.h5")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none.h5")));
  EXPECT_THAT(
      File::Open(folder_.path()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
  FileSystem* const files = FileSystem::Posix();
  for (const std::string& text :
       {std::string(), std::string("x"), std::string(100000, 'x')}) {
    ASSERT_OK(files->WriteFileAtomically(path_, text));
    EXPECT_THAT(File::Open(path_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("file.h5: can't open: is not an HDF5")));
  }
  EXPECT_THAT(File::Create(folder_.File("no/such.h5")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such.h5")));
}

TEST_F(Hdf5Test, ClosedFile) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK_AND_ASSIGN(Dataset rows, file.CreateExtensible<float>("/r", {}));
  ASSERT_OK(file.Close());
  ASSERT_OK(file.Close());
  const auto closed = StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("file.h5: the file is closed"));
  const std::vector<float> data(1);
  std::vector<float> out;
  EXPECT_THAT(rows.Append<float>(data), closed);
  EXPECT_THAT(rows.Read<float>(absl::MakeSpan(out)), closed);
  EXPECT_THAT(file.Flush(), closed);
  EXPECT_THAT(file.List("/"), closed);
  EXPECT_THAT(file.OpenDataset("/r"), closed);
  EXPECT_THAT(file.CreateGroup("/g"), closed);
}

TEST_F(Hdf5Test, ReadingOnly) {
  ASSERT_OK_AND_ASSIGN(File writer, File::Create(path_));
  ASSERT_OK(writer.CreateExtensible<float>("/r", {}));
  ASSERT_OK(writer.Close());
  ASSERT_OK_AND_ASSIGN(File file, File::Open(path_));
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("for reading only"));
  const std::vector<float> data(1);
  EXPECT_THAT(file.Write<float>("/a", {1}, data), refused);
  EXPECT_THAT(file.SetAttribute("/", "a", 1), refused);
  EXPECT_THAT(file.CreateGroup("/g"), refused);
  EXPECT_THAT(file.Commit(), refused);
  ASSERT_OK_AND_ASSIGN(Dataset rows, file.OpenDataset("/r"));
  EXPECT_THAT(rows.Append<float>(data), refused);
}

TEST_F(Hdf5Test, TemporaryFileAppearsOnlyByCommit) {
  FileSystem* const files = FileSystem::Posix();
  {
    ASSERT_OK_AND_ASSIGN(File file, File::CreateTemporary(path_));
    ASSERT_OK(file.Write<float>("/a", {1}, {1}));
    EXPECT_FALSE(files->Exists(path_));
  }
  EXPECT_THAT(*files->List(folder_.path()), IsEmpty());
  {
    ASSERT_OK_AND_ASSIGN(File file, File::CreateTemporary(path_));
    ASSERT_OK(file.Close());
    EXPECT_THAT(*files->List(folder_.path()), IsEmpty());
    EXPECT_THAT(file.Commit(),
                StatusIs(absl::StatusCode::kFailedPrecondition, _));
  }
  ASSERT_OK_AND_ASSIGN(File file, File::CreateTemporary(path_));
  ASSERT_OK(file.Write<float>("/a", {1}, {1}));
  ASSERT_OK(file.Commit());
  EXPECT_THAT(*files->List(folder_.path()), ElementsAre("file.h5"));
  EXPECT_OK(File::Open(path_));
  ASSERT_OK_AND_ASSIGN(File direct, File::Create(folder_.File("direct.h5")));
  EXPECT_THAT(direct.Commit(),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST_F(Hdf5Test, MovedHandlesStayUsable) {
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path_));
  ASSERT_OK(file.Write<float>("/a", {1}, {5}));
  ASSERT_OK(file.Write<float>("/b", {1}, {6}));
  File moved = std::move(file);
  ASSERT_OK_AND_ASSIGN(Dataset a, moved.OpenDataset("/a"));
  ASSERT_OK_AND_ASSIGN(Dataset b, moved.OpenDataset("/b"));
  a = std::move(b);
  float value = 0;
  EXPECT_OK(a.Read<float>(absl::MakeSpan(&value, 1)));
  EXPECT_EQ(value, 6);
  ASSERT_OK_AND_ASSIGN(file, File::Create(folder_.File("other.h5")));
  moved = std::move(file);  // closes the first, with its datasets
  EXPECT_THAT(a.Read<float>(absl::MakeSpan(&value, 1)),
              StatusIs(absl::StatusCode::kFailedPrecondition, _));
}

TEST_F(Hdf5Test, ThreadsUseDifferentFiles) {
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      results[t] = [&]() -> absl::Status {
        const std::string path = folder_.File(std::to_string(t));
        ASSIGN_OR_RETURN(File file, File::Create(path));
        ASSIGN_OR_RETURN(Dataset rows,
                         file.CreateExtensible<int32_t>("/r", {8}));
        for (int32_t i = 0; i < 100; ++i) {
          const std::vector<int32_t> row(8, t * 1000 + i);
          RETURN_IF_ERROR(rows.Append<int32_t>(row));
          std::vector<int32_t> back(8);
          RETURN_IF_ERROR(rows.ReadRows<int32_t>(i, 1, absl::MakeSpan(back)));
          if (back != row) return absl::InternalError("rows differ");
          // Errors of one thread don't reach another.
          if (file.OpenDataset("/none").ok()) {
            return absl::InternalError("found what isn't there");
          }
        }
        return file.Close();
      }();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) EXPECT_OK(result);
}

TEST(ElementCountTest, Saturates) {
  EXPECT_EQ(ElementCount({}), 1);
  EXPECT_EQ(ElementCount({2, 3}), 6);
  EXPECT_EQ(ElementCount({UINT64_MAX, 2}), UINT64_MAX);
  EXPECT_EQ(ElementCount({UINT64_MAX, 2, 0}), 0);
}

}  // namespace
}  // namespace caracal::hdf5
