// Files that h5py wrote (testdata/make_foreign.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal::hdf5 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kFolder[] = "core/io/hdf5/testdata/";

class Hdf5ForeignTest : public ::testing::Test {
 protected:
  static File OpenOrDie(const std::string& name) {
    absl::StatusOr<File> file = File::Open(kFolder + name);
    CARACAL_CHECK_OK(file.status());
    return std::move(file).value();
  }
  const File file_ = OpenOrDie("foreign.h5");
};

TEST_F(Hdf5ForeignTest, Numbers) {
  ASSERT_OK_AND_ASSIGN(const Dataset tokens, file_.OpenDataset("tokens"));
  EXPECT_EQ(tokens.info().type, Type::kI32);
  std::vector<int32_t> row(4);
  ASSERT_OK(tokens.ReadRows<int32_t>(1, 1, absl::MakeSpan(row)));
  EXPECT_THAT(row, ElementsAre(4, 5, 6, 7));

  ASSERT_OK_AND_ASSIGN(const Dataset big, file_.OpenDataset("/big_endian"));
  std::vector<float> floats(4);
  ASSERT_OK(big.Read<float>(absl::MakeSpan(floats)));
  EXPECT_THAT(floats, ElementsAre(0, 0.5f, 1, 1.5f));

  ASSERT_OK_AND_ASSIGN(const Dataset scalar, file_.OpenDataset("/scalar"));
  double value = 0;
  ASSERT_OK(scalar.Read<double>(absl::MakeSpan(&value, 1)));
  EXPECT_EQ(value, 1.25);

  ASSERT_OK_AND_ASSIGN(const Dataset inner, file_.OpenDataset("/link"));
  std::vector<uint8_t> bytes(2);
  ASSERT_OK(inner.Read<uint8_t>(absl::MakeSpan(bytes)));
  EXPECT_THAT(bytes, ElementsAre(0, 1));
}

TEST_F(Hdf5ForeignTest, CompressedChunks) {
  ASSERT_OK_AND_ASSIGN(const Dataset packed, file_.OpenDataset("/packed"));
  EXPECT_TRUE(packed.info().extensible);
  std::vector<int64_t> rows(300);
  ASSERT_OK(packed.ReadRows<int64_t>(95, 150, absl::MakeSpan(rows)));
  for (int i = 0; i < 300; ++i) EXPECT_EQ(rows[i], 190 + i);
}

TEST_F(Hdf5ForeignTest, Strings) {
  EXPECT_THAT(file_.ReadStrings("/strings"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/strings: expected strings, found strings of "
                                 "variable length")));
  ASSERT_OK_AND_ASSIGN(const auto fixed, file_.ReadStrings("/fixed_strings"));
  EXPECT_THAT(fixed, ElementsAre("ab", "cdef"));
}

TEST_F(Hdf5ForeignTest, Attributes) {
  EXPECT_EQ(*file_.StringAttribute("/", "fixed"), "grüße");
  EXPECT_EQ(*file_.StringAttribute("/", "ascii"), "ascii");
  EXPECT_THAT(
      file_.StringAttribute("/", "variable"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'variable'")));
  EXPECT_EQ(*file_.IntAttribute("/", "int32"), -7);
  EXPECT_EQ(*file_.UintAttribute("/", "uint8"), 200);
  EXPECT_EQ(*file_.DoubleAttribute("/", "float32"), 0.5);
  EXPECT_THAT(
      file_.IntAttribute("/", "array"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is an array")));
}

TEST_F(Hdf5ForeignTest, OtherTypesAreNamed) {
  std::vector<float> out(4);
  for (const auto& [name, description] :
       std::vector<std::pair<std::string, std::string>>{
           {"/half", "a float of 16 bits"},
           {"/int16", "i16"},
           {"/flags", "an enumeration (or bool)"}}) {
    ASSERT_OK_AND_ASSIGN(const Dataset dataset, file_.OpenDataset(name));
    EXPECT_EQ(dataset.info().type, Type::kOther);
    EXPECT_THAT(dataset.Read<float>(absl::MakeSpan(out)),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("expected elements of type f32, found " +
                                   description)));
  }
  ASSERT_OK_AND_ASSIGN(const Dataset null, file_.OpenDataset("/null"));
  EXPECT_THAT(null.info().shape, ElementsAre(0));
}

TEST_F(Hdf5ForeignTest, NothingOutsideTheFileIsRead) {
  EXPECT_THAT(*file_.List("/"),
              ::testing::Not(::testing::Contains(std::string("outside_link"))));
  EXPECT_FALSE(*file_.Exists("/outside_link"));
  EXPECT_FALSE(*file_.Exists("/dangling"));
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("data in other files"));
  EXPECT_THAT(file_.OpenDataset("/outside_data"), refused);
  EXPECT_THAT(OpenOrDie("virtual.h5").OpenDataset("/virtual"), refused);
}

}  // namespace
}  // namespace caracal::hdf5
