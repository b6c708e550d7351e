#include "core/io/gguf.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/io/gguf_builder.h"
#include "core/io/io_golden.h"
#include "kernels/quant/dequantize.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kEncodings[] = "tests/golden/io/encodings.gguf";

// The bytes must outlive the result; errors need no such care.
absl::StatusOr<std::unique_ptr<GgufFile>> Parse(const std::string& bytes) {
  return GgufFile::Parse(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()),
                          bytes.size()),
      "m.gguf");
}

absl::Status Refused(const std::string& bytes) { return Parse(bytes).status(); }

TEST(GgufFile, ReadsEveryMetadataType) {
  ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::Open(kEncodings));
  EXPECT_EQ(file->path(), kEncodings);
  EXPECT_EQ(file->version(), 3);
  EXPECT_EQ(*file->GetInt("test.u8"), 250);
  EXPECT_EQ(*file->GetInt("test.i8"), -7);
  EXPECT_EQ(*file->GetInt("test.u16"), 65000);
  EXPECT_EQ(*file->GetInt("test.i16"), -30000);
  EXPECT_EQ(*file->GetInt("test.u32"), 4000000000);
  EXPECT_EQ(*file->GetInt("test.i32"), -2000000000);
  EXPECT_EQ(*file->GetInt("test.i64"), -(int64_t{1} << 62));
  EXPECT_EQ(*file->GetFloat("test.f32"), 0.1f);
  EXPECT_EQ(*file->GetFloat("test.f64"), 0.1);
  EXPECT_TRUE(*file->GetBool("test.bool"));
  EXPECT_EQ(*file->GetString("test.string"), "caf\u00e9 \u20ac");
  EXPECT_THAT(*file->GetStringArray("test.strings"),
              ElementsAre("", "a", "\u0120the", "\n"));
  EXPECT_THAT(*file->GetIntArray("test.ints"), ElementsAre(3, -1, 4));
  EXPECT_THAT(*file->GetFloatArray("test.floats"), ElementsAre(0.5f, -2.25f));
  EXPECT_THAT(*file->GetBoolArray("test.bools"),
              ElementsAre(true, false, true));
  EXPECT_TRUE(file->Has("test.u8"));
  EXPECT_FALSE(file->Has("test.u9"));
  EXPECT_EQ(file->keys().size(), 17);
  EXPECT_EQ(file->keys()[0], "general.architecture");
}

TEST(GgufFile, ListsTensorsOutermostDimensionFirst) {
  ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::Open(kEncodings));
  EXPECT_EQ(file->tensors().size(), 7);
  const GgufTensor* tensor = file->FindTensor("Q4_1");
  ASSERT_NE(tensor, nullptr);
  EXPECT_THAT(tensor->shape, ElementsAre(3, 96));
  EXPECT_EQ(tensor->encoding, Encoding::kQ4_1);
  EXPECT_EQ(tensor->data.size(), 3 * 3 * 20);
  EXPECT_EQ(file->FindTensor("Q4_2"), nullptr);
}

TEST(GgufFile, EveryEncodingDecodesAsTheGoldens) {
  ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::Open(kEncodings));
  const IoGolden golden = IoGolden::Load();
  for (const GgufTensor& tensor : file->tensors()) {
    std::vector<float> values(tensor.shape[0] * tensor.shape[1]);
    kernels::DequantizeRow(tensor.encoding, tensor.data.data(), values.size(),
                           values.data());
    EXPECT_EQ(IoGolden::Crc(values),
              golden.Tensors("encodings.gguf").at(std::string(tensor.name)))
        << tensor.name;
  }
}

TEST(GgufFile, AccessorsNameKeyAndTypes) {
  ASSERT_OK_AND_ASSIGN(const auto file, GgufFile::Open(kEncodings));
  const auto kWrong = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(file->GetInt("none"),
              StatusIs(absl::StatusCode::kNotFound,
                       "tests/golden/io/encodings.gguf: metadata key \"none\" "
                       "is missing"));
  EXPECT_THAT(file->GetInt("test.string"),
              StatusIs(kWrong, HasSubstr("\"test.string\" is of type string, "
                                         "expected an integer")));
  EXPECT_THAT(file->GetInt("test.u64"),
              StatusIs(kWrong, HasSubstr("\"test.u64\" is 9223372036854775813, "
                                         "expected below 2^63")));
  EXPECT_THAT(file->GetInt("test.ints"),
              StatusIs(kWrong, HasSubstr("is an array of i32, expected an "
                                         "integer")));
  EXPECT_THAT(file->GetFloat("test.i8"),
              StatusIs(kWrong, HasSubstr("of type i8, expected a float")));
  EXPECT_THAT(file->GetBool("test.u8"),
              StatusIs(kWrong, HasSubstr("of type u8, expected bool")));
  EXPECT_THAT(file->GetString("test.u8"),
              StatusIs(kWrong, HasSubstr("of type u8, expected string")));
  EXPECT_THAT(file->GetStringArray("test.ints"),
              StatusIs(kWrong, HasSubstr("an array of i32, expected an array "
                                         "of string")));
  EXPECT_THAT(file->GetIntArray("test.i8"),
              StatusIs(kWrong, HasSubstr("of type i8, expected an array of "
                                         "integers")));
  EXPECT_THAT(file->GetFloatArray("test.ints"),
              StatusIs(kWrong, HasSubstr("expected an array of floats")));
  EXPECT_THAT(file->GetBoolArray("test.ints"),
              StatusIs(kWrong, HasSubstr("expected an array of bool")));
}

TEST(GgufFile, ReadsAnEmptyFileOfVersionTwo) {
  ASSERT_OK_AND_ASSIGN(const auto file, Parse(GgufBuilder().Build("", 2)));
  EXPECT_EQ(file->version(), 2);
  EXPECT_TRUE(file->tensors().empty());
}

TEST(GgufFile, RefusesForeignFilesAndVersions) {
  const auto kData = absl::StatusCode::kDataLoss;
  EXPECT_THAT(GgufFile::Open("no/such.gguf"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no/such.gguf")));
  EXPECT_THAT(Refused(""), StatusIs(kData, HasSubstr("m.gguf: not a GGUF")));
  EXPECT_THAT(Refused("PK\x03\x04 and more"),
              StatusIs(kData, HasSubstr("first four bytes")));
  EXPECT_THAT(Refused(GgufBuilder().Build("", 1)),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("version 1, expected 2 or 3")));
  EXPECT_THAT(Refused(GgufBuilder().Build("", 0x03000000)),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("a big-endian file?")));
}

TEST(GgufFile, RefusesEveryTruncation) {
  const std::string whole =
      GgufBuilder()
          .String("general.architecture", "llama")
          .Array("list", GgufType::kString, 2,
                 GgufBuilder::Text("ab") + GgufBuilder::Text("c"))
          .Float("f", 1)
          .Add({"t", {32, 2}, 8, 0})
          .Build(std::string(68, '\1'));
  EXPECT_OK(Refused(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(Refused(whole.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.gguf: ")))
        << "cut to " << size << " bytes";
  }
}

TEST(GgufFile, RefusesBadMetadata) {
  const auto kData = absl::StatusCode::kDataLoss;
  using B = GgufBuilder;
  EXPECT_THAT(Refused(B().DeclarePairs(uint64_t{1} << 60).Build()),
              StatusIs(kData, HasSubstr("declares 1152921504606846976 metadata "
                                        "pairs, more than fit")));
  EXPECT_THAT(Refused(B().Int("a", 1).DeclarePairs(2).Build()),
              StatusIs(kData, HasSubstr("metadata pairs, more than fit")));
  EXPECT_THAT(Refused(B().Int("twin", 1).Int("twin", 2).Build()),
              StatusIs(kData, HasSubstr("key \"twin\" appears twice")));
  EXPECT_THAT(Refused(B().Int("", 1).Build()),
              StatusIs(kData, HasSubstr("pair 0 has the key \"\"")));
  EXPECT_THAT(Refused(B().Int("\xff\xfe", 1).Build()),
              StatusIs(kData, HasSubstr("\"\\xff\\xfe\", expected 1 to 65535 "
                                        "bytes of UTF-8")));
  EXPECT_THAT(Refused(B().Pair("k", static_cast<GgufType>(77), "1234").Build()),
              StatusIs(kData, HasSubstr("key \"k\" has the unknown type 77")));
  EXPECT_THAT(Refused(B().Pair("k", GgufType::kBool, "\2").Build()),
              StatusIs(kData, HasSubstr("neither 0 nor 1")));
  EXPECT_THAT(
      Refused(B().Pair("k", GgufType::kString, B::Bytes(~uint64_t{0}) + "abc")
                  .Build()),
      StatusIs(kData, HasSubstr("file ends inside string 0 of metadata "
                                "key \"k\"")));
  EXPECT_THAT(
      Refused(B().Array("k", GgufType::kU64, uint64_t{1} << 61, "").Build()),
      StatusIs(kData, HasSubstr("declares 2305843009213693952 elements of type "
                                "u64, but only 0 bytes")));
  EXPECT_THAT(
      Refused(
          B().Array("k", GgufType::kArray, 1, std::string(64, '\0')).Build()),
      StatusIs(absl::StatusCode::kUnimplemented,
               HasSubstr("\"k\" is an array of arrays")));
  for (const uint32_t alignment : {0u, 3u, 1u << 21}) {
    EXPECT_THAT(Refused(B().Int("general.alignment", alignment).Build()),
                StatusIs(kData, HasSubstr("general.alignment is")));
  }
  EXPECT_THAT(Refused(B().String("general.alignment", "32").Build()),
              StatusIs(kData, HasSubstr("not an integer")));
}

TEST(GgufFile, RefusesBadTensors) {
  const auto kData = absl::StatusCode::kDataLoss;
  const std::string data(256, '\0');
  const auto refused = [&](const GgufBuilder::Tensor& tensor) {
    return Refused(GgufBuilder().Add(tensor).Build(data));
  };
  EXPECT_THAT(
      Refused(GgufBuilder().DeclareTensors(uint64_t{1} << 59).Build(data)),
      StatusIs(kData, HasSubstr("tensors, more than fit")));
  EXPECT_THAT(refused({"", {4}}), StatusIs(kData, HasSubstr("tensor 0 has the "
                                                            "name \"\"")));
  EXPECT_THAT(refused({std::string(300, 'x'), {4}}),
              StatusIs(kData, HasSubstr("expected 1 to 255 bytes")));
  EXPECT_THAT(refused({"\xc0\x80", {4}}),
              StatusIs(kData, HasSubstr("bytes of UTF-8")));
  EXPECT_THAT(refused({"t", {}}),
              StatusIs(kData, HasSubstr("\"t\" has 0 dimensions")));
  EXPECT_THAT(refused({"t", {1, 1, 1, 1, 1}}),
              StatusIs(kData, HasSubstr("has 5 dimensions, expected 1 to 4")));
  EXPECT_THAT(refused({"t", {4, 0}}),
              StatusIs(kData, HasSubstr("dimension of 0")));
  EXPECT_THAT(refused({"t", {uint64_t{1} << 63}}),
              StatusIs(kData, HasSubstr("more elements than can be")));
  EXPECT_THAT(refused({"t", {uint64_t{1} << 32, uint64_t{1} << 32}}),
              StatusIs(kData, HasSubstr("more elements than can be")));
  EXPECT_THAT(refused({"t", {(uint64_t{1} << 63) - 1}}),
              StatusIs(kData, HasSubstr("is larger than memory")));
  EXPECT_THAT(refused({"t", {4}, 6}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("has the GGUF type 6, which can't be read; "
                                 "expected one of F32, F16, BF16, Q8_0, Q4_0, "
                                 "Q4_1, Q6_K")));
  EXPECT_THAT(refused({"t", {48, 1}, 3}),
              StatusIs(kData, HasSubstr("rows of 48 elements, expected a "
                                        "multiple of 32 for Q4_1")));
  EXPECT_THAT(refused({"t", {4}, 0, 16}),
              StatusIs(kData, HasSubstr("offset 16, expected a multiple of "
                                        "32")));
  EXPECT_THAT(refused({"t", {8}, 0, 256}),
              StatusIs(kData, HasSubstr("\"t\" needs 32 bytes at offset 256 of "
                                        "the tensor data, but the file holds "
                                        "only 256")));
  EXPECT_THAT(refused({"t", {8}, 0, ~uint64_t{31}}),
              StatusIs(kData, HasSubstr("truncated?")));
  EXPECT_THAT(Refused(GgufBuilder()
                          .Add({"a", {8}, 0, 0})
                          .Add({"a", {8}, 0, 32})
                          .Build(data)),
              StatusIs(kData, HasSubstr("tensor \"a\" appears twice")));
  EXPECT_THAT(Refused(GgufBuilder()
                          .Add({"b", {8}, 0, 64})
                          .Add({"a", {17}, 0, 0})
                          .Build(data)),
              StatusIs(kData, HasSubstr("\"a\" and \"b\" overlap")));
}

TEST(GgufFile, HonoursTheFilesAlignment) {
  const std::string bytes =
      GgufBuilder()
          .Int("general.alignment", 128)
          .Add({"t", {2}, 0, 128})
          .Build(std::string(128, '\0') + "abcdefgh", 3, 128);
  ASSERT_OK_AND_ASSIGN(const auto file, Parse(bytes));
  const GgufTensor* tensor = file->FindTensor("t");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(std::string(tensor->data.begin(), tensor->data.end()), "abcdefgh");
}

}  // namespace
}  // namespace caracal
