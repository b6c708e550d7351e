#include "core/io/safetensors_file.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/io/safetensors_builder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<std::unique_ptr<SafetensorsFile>> Parse(
    const std::string& bytes) {
  return SafetensorsFile::Parse(
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(bytes.data()),
                          bytes.size()),
      "m.safetensors");
}

absl::Status Refused(const std::string& header, size_t data_bytes = 0) {
  return Parse(MakeSafetensors(header, std::string(data_bytes, '\0'))).status();
}

TEST(SafetensorsFile, ReadsTensorsAndMetadata) {
  const std::string bytes = MakeSafetensors(
      R"({"__metadata__": {"format": "pt"},
          "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]},
          "a": {"shape": [1, 2], "dtype": "F32", "data_offsets": [0, 8]},
          "s": {"shape": [], "dtype": "F16", "data_offsets": [12, 14]}}   )",
      "abcdefghijklmn");
  ASSERT_OK_AND_ASSIGN(const auto file, Parse(bytes));
  ASSERT_EQ(file->tensors().size(), 3);
  const SafetensorsTensor& a = file->tensors()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_THAT(a.shape, ElementsAre(1, 2));
  EXPECT_EQ(a.encoding, Encoding::kF32);
  EXPECT_EQ(std::string(a.data.begin(), a.data.end()), "abcdefgh");
  EXPECT_EQ(file->tensors()[1].name, "b");
  EXPECT_EQ(file->tensors()[1].encoding, Encoding::kBF16);
  EXPECT_TRUE(file->tensors()[2].shape.empty());
  EXPECT_EQ(file->metadata().at("format"), "pt");
}

TEST(SafetensorsFile, ReadsAnEmptyFile) {
  EXPECT_OK(Refused("{}"));
  EXPECT_OK(Refused(R"({"__metadata__": {}})"));
}

TEST(SafetensorsFile, ReadsTheLibrarysFile) {
  ASSERT_OK_AND_ASSIGN(
      const auto file,
      SafetensorsFile::Open("tests/golden/io/hf_single/model.safetensors"));
  EXPECT_EQ(file->tensors().size(), 11);
  EXPECT_EQ(file->metadata().at("format"), "pt");
}

TEST(SafetensorsFile, RefusesEveryTruncation) {
  const std::string whole = MakeSafetensors(
      R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})",
      "abcdefgh");
  EXPECT_OK(Parse(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(
        Parse(whole.substr(0, size)),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("m.safetensors: ")))
        << "cut to " << size;
  }
  EXPECT_THAT(Parse(whole + "x"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("the tensors end at byte 8 of the data, but "
                                 "the file holds 9")));
}

TEST(SafetensorsFile, RefusesBadHeaderLengths) {
  const auto kCode = absl::StatusCode::kDataLoss;
  EXPECT_THAT(Parse("abc"), StatusIs(kCode, HasSubstr("file has 3 bytes")));
  EXPECT_THAT(Parse(std::string(16, '\xff')),
              StatusIs(kCode, HasSubstr("header length is 18446744073709551615,"
                                        " expected at most 100000000")));
  EXPECT_THAT(Parse(std::string("\x40\0\0\0\0\0\0\0{}", 10)),
              StatusIs(kCode, HasSubstr("header length is 64, but the file has "
                                        "10 bytes (truncated?)")));
}

TEST(SafetensorsFile, RefusesForeignHeaders) {
  const auto refusal = [](const std::string& header) {
    const absl::Status status = Refused(header, 8);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    return std::string(status.message());
  };
  EXPECT_THAT(refusal("\"text\""), HasSubstr("the header is a string"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("the header is a list"));
  EXPECT_THAT(refusal("{\"a\": }"), HasSubstr("not valid JSON at its byte"));
  EXPECT_THAT(refusal("{} {}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"\xff\": 1}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\": 1}"), HasSubstr("entry \"a\" has a number"));
  EXPECT_THAT(refusal("{\"a\": {\"dtype\": 3}}"),
              HasSubstr("has a number where none belongs, in field \"dtype\""));
  EXPECT_THAT(refusal("{\"a\": {\"size\": 3}}"),
              HasSubstr("has the field \"size\", expected dtype, shape"));
  EXPECT_THAT(refusal("{\"a\": {\"dtype\": \"F32\", \"dtype\": \"F32\"}}"),
              HasSubstr("has the field dtype twice"));
  EXPECT_THAT(refusal("{\"a\": {\"dtype\": \"F32\", \"shape\": [2]}}"),
              HasSubstr("lacks a dtype, a shape or two data_offsets"));
  EXPECT_THAT(refusal("{\"a\": {\"shape\": [[2]]}}"),
              HasSubstr("has a list where none belongs"));
  EXPECT_THAT(refusal("{\"a\": {\"shape\": [-2]}}"),
              HasSubstr("has a negative number"));
  EXPECT_THAT(refusal("{\"a\": {\"shape\": [2.5]}}"),
              HasSubstr("not an integer"));
  EXPECT_THAT(refusal("{\"a\": {\"shape\": [1,1,1,1,1,1,1,1,1]}}"),
              HasSubstr("more than 8 dimensions"));
  EXPECT_THAT(refusal("{\"a\": {\"data_offsets\": [1,1,1]}}"),
              HasSubstr("more than two data_offsets"));
  EXPECT_THAT(refusal("{\"a\": null}"), HasSubstr("has null"));
  EXPECT_THAT(refusal("{\"a\": true}"), HasSubstr("has true or false"));
  EXPECT_THAT(refusal("{\"__metadata__\": {\"a\": {}}}"),
              HasSubstr("\"__metadata__\" has an object"));
  EXPECT_THAT(refusal("{\"__metadata__\": {\"a\": \"1\", \"a\": \"2\"}}"),
              HasSubstr("has the key \"a\" twice"));
  EXPECT_THAT(refusal(std::string(1000000, '{')), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(std::string(1000000, '[')), HasSubstr("a list"));
  EXPECT_THAT(
      refusal(R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                  "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})"),
      HasSubstr("header entry \"a\" appears twice"));
}

TEST(SafetensorsFile, RefusesBadTensors) {
  const auto refusal = [](const std::string& dtype, const std::string& shape,
                          const std::string& offsets, size_t bytes = 8) {
    const absl::Status status =
        Refused("{\"t\": {\"dtype\": \"" + dtype + "\", \"shape\": " + shape +
                    ", \"data_offsets\": " + offsets + "}}",
                bytes);
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  EXPECT_THAT(refusal("F64", "[1]", "[0, 8]"),
              HasSubstr("tensor \"t\" has dtype \"F64\", expected F32, F16 or "
                        "BF16"));
  EXPECT_THAT(refusal("Q8_0", "[1]", "[0, 8]"), HasSubstr("\"Q8_0\""));
  EXPECT_THAT(refusal("F32", "[3]", "[0, 8]"),
              HasSubstr("data_offsets 0 to 8, expected 12 bytes"));
  EXPECT_THAT(refusal("F32", "[2]", "[8, 0]"),
              HasSubstr("data_offsets 8 to 0, expected 8 bytes"));
  EXPECT_THAT(refusal("F32", "[0]", "[0, 0]"),
              HasSubstr("has a dimension of 0"));
  EXPECT_THAT(refusal("F32", "[4611686018427387904, 4]", "[0, 0]"),
              HasSubstr("more elements than can be addressed"));
  EXPECT_THAT(refusal("F32", "[18446744073709551615]", "[0, 8]"),
              HasSubstr("more elements than can be addressed"));
  EXPECT_THAT(refusal("F32", "[2]", "[4, 12]", 12),
              HasSubstr("leaves a hole before it: it begins at 4, expected 0"));
  EXPECT_THAT(refusal("F32", "[2]", "[0, 8]", 4),
              HasSubstr("ends at byte 8 of the data, but the file holds only "
                        "4 bytes of it (truncated?)"));
  EXPECT_THAT(
      Refused(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                  "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}
                 })",
              12),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr("\"b\" overlaps the tensor before it: it begins at 4, "
                         "expected 8")));
}

}  // namespace
}  // namespace caracal
