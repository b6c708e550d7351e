#include "dist/checkpoint/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/base/fault_file_system.h"
#include "core/base/philox.h"
#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

Manifest Sample() {
  Manifest manifest;
  manifest.step = 12;
  manifest.layout = {.data = 2, .tensor = 1, .layer = 1};
  manifest.model_fingerprint = "model \"ä\"";
  manifest.job_fingerprint = "job";
  manifest.data_fingerprint = "rows";
  manifest.validation_fingerprint = "held out";
  manifest.created_by = "caracal 0";
  manifest.rank_files = {{"rank-00000.h5", 10, std::string(32, '0')},
                         {"rank-00001.h5", 20, std::string(32, 'f')}};
  return manifest;
}

// The text with one field changed and its checksum made right again: what a
// faulty writer, not a faulty disk, would leave.
std::string Resealed(std::string text, const std::string& from,
                     const std::string& to) {
  const size_t at = text.find(from);
  CARACAL_CHECK(at != std::string::npos) << from;
  text.replace(at, from.size(), to);
  const std::string message(ParseManifest(text, "m").status().message());
  const std::string expected = "expected ";
  const size_t right = message.find(expected);
  if (message.find("'checksum'") == std::string::npos) return text;
  const std::string sum = message.substr(right + expected.size(), 32);
  const size_t field = text.find("\"checksum\": \"");
  return text.replace(field + 13, 32, sum);
}

TEST(ManifestTest, RoundTrips) {
  const std::string text = FormatManifest(Sample());
  ASSERT_OK_AND_ASSIGN(const Manifest read, ParseManifest(text, "m"));
  EXPECT_EQ(read.step, 12);
  EXPECT_EQ(read.layout, Sample().layout);
  EXPECT_EQ(read.model_fingerprint, "model \"ä\"");
  EXPECT_EQ(read.job_fingerprint, "job");
  EXPECT_EQ(read.data_fingerprint, "rows");
  EXPECT_EQ(read.validation_fingerprint, "held out");
  EXPECT_EQ(read.created_by, "caracal 0");
  ASSERT_EQ(read.rank_files.size(), 2);
  EXPECT_EQ(read.rank_files[1].name, "rank-00001.h5");
  EXPECT_EQ(read.rank_files[1].bytes, 20);
  EXPECT_EQ(read.rank_files[1].checksum, std::string(32, 'f'));
  EXPECT_EQ(FormatManifest(read), text);
}

// As older programs wrote it, or without validation.
TEST(ManifestTest, FingerprintsOfDataMayBeMissing) {
  Manifest older = Sample();
  older.data_fingerprint.clear();
  older.validation_fingerprint.clear();
  const std::string text = FormatManifest(older);
  EXPECT_THAT(text, Not(HasSubstr("data_fingerprint")));
  EXPECT_THAT(text, Not(HasSubstr("validation_fingerprint")));
  ASSERT_OK_AND_ASSIGN(const Manifest read, ParseManifest(text, "m"));
  EXPECT_EQ(read.data_fingerprint, "");
  EXPECT_EQ(read.validation_fingerprint, "");
  EXPECT_EQ(FormatManifest(read), text);
}

TEST(ManifestTest, NewerVersionIsRefusedBeforeAllElse) {
  EXPECT_THAT(
      ParseManifest(R"({"format": "caracal-checkpoint", "format_version": 2})",
                    "m"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("m: format version 2"), HasSubstr("is 1"))));
}

TEST(ManifestTest, EachFieldIsNeededAndChecked) {
  const std::string text = FormatManifest(Sample());
  const auto expect_error = [&](const std::string& from, const std::string& to,
                                const std::string& message) {
    EXPECT_THAT(ParseManifest(Resealed(text, from, to), "m"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(message)))
        << to;
  };
  expect_error("\"step\": 12", "\"stop\": 12", "'step': expected an integer");
  expect_error("\"step\": 12", "\"step\": -1", "'step'");
  expect_error("\"step\": 12", "\"step\": 1.5", "'step'");
  expect_error("\"step\": 12", "\"step\": \"12\"", "'step'");
  expect_error("\"step\": 12", "\"step\": 9999999999999999999", "'step'");
  expect_error("\"job\"", "null", "'job_fingerprint': expected a string");
  expect_error("\"caracal 0\"", "7", "'created_by'");
  expect_error("\"rows\"", "null", "'data_fingerprint': expected a string");
  expect_error("\"held out\"", "[]", "'validation_fingerprint'");
  expect_error("\"data\": 2", "\"data\": 0", "'rank_files'");
  expect_error("\"data\": 2", "\"data\": 3", "ranks, 3, found 2");
  expect_error("\"data\": 2", "\"data\": 100001", "'data'");
  expect_error("\"layout\": {", "\"layout\": [], \"x\": {", "'layout'");
  expect_error("\"rank_files\": [", "\"rank_files\": 1, \"x\": [",
               "'rank_files': expected a list");
  expect_error("rank-00001.h5", "../../etc/x", "expected rank-00001.h5");
  expect_error("rank-00001.h5", "rank-00000.h5", "expected rank-00001.h5");
  expect_error("\"bytes\": 20", "\"bytes\": -20", "rank_files[1]");
  expect_error(std::string(32, 'f'), std::string(31, 'f'), "32 lower-case");
  expect_error(std::string(32, 'f'), std::string(32, 'F'), "32 lower-case");
  expect_error("\"caracal-checkpoint\"", "\"other\"", "'format'");
  expect_error("\"format_version\": 1", "\"format_version\": 0",
               "'format_version'");
}

TEST(ManifestTest, GarbageIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("x"), std::string("[]"), std::string("{}"),
        std::string("null"), std::string("{\"format\":"),
        std::string(1000, '\0'), std::string(100000, '['),
        std::string(100000, '{'), std::string("\xff\xfe{}"),
        std::string(17 << 20, ' ')}) {
    EXPECT_THAT(
        ParseManifest(text, "dir/manifest.json"),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("dir/manifest.json")));
  }
}

// A valid document whose copying or printing would exhaust the stack.
TEST(ManifestTest, DeepNestingIsRefused) {
  const std::string open(4 << 20, '['), close(4 << 20, ']');
  EXPECT_THAT(ParseManifest(R"({"format": "caracal-checkpoint",
                                "format_version": 1, "checksum": "", "x": )" +
                                open + close + "}",
                            "dir/manifest.json"),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("dir/manifest.json"),
                             HasSubstr("nested deeper"))));
}

// Any flipped bit and any cut is found, white space apart.
TEST(ManifestTest, EveryFlipAndCutIsFound) {
  const std::string text = FormatManifest(Sample());
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    EXPECT_FALSE(ParseManifest(text.substr(0, i), "m").ok()) << i;
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[i] ^= static_cast<char>(1 << bit);
      const auto parsed = ParseManifest(damaged, "m");
      if (parsed.ok()) {
        EXPECT_EQ(FormatManifest(*parsed), text) << i;
      }
    }
  }
}

// Random edits of a good manifest: an error or the same manifest, no crash.
TEST(ManifestTest, RandomEdits) {
  const std::string text = FormatManifest(Sample());
  const std::string tokens = "{}[]\",:0129.-eE\\utrue null\n\x80\xff";
  for (uint64_t round = 0; round < 3000; ++round) {
    const RandomStream random({.seed = 1, .sample = round});
    std::string edited = text;
    const uint32_t edits = 1 + random.Bits(0) % 8;
    for (uint32_t e = 0; e < edits && !edited.empty(); ++e) {
      const size_t at = random.Bits(4 * e + 1) % edited.size();
      const size_t length = random.Bits(4 * e + 2) % 20;
      switch (random.Bits(4 * e + 3) % 3) {
        case 0:
          edited.erase(at, length);
          break;
        case 1:
          edited.insert(at, edited.substr(length * 10 % edited.size(), length));
          break;
        default:
          edited[at] = tokens[random.Bits(4 * e + 4) % tokens.size()];
      }
    }
    const auto parsed = ParseManifest(edited, "m");
    if (parsed.ok()) {
      EXPECT_EQ(FormatManifest(*parsed), text) << edited;
    }
  }
}

TEST(ManifestTest, MissingFile) {
  FaultFileSystem files;
  EXPECT_THAT(ReadManifest(&files, "/c"),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("/c/manifest.json: is missing")));
}

// "xxhsum -H128" of the same bytes.
TEST(ChecksumTest, KnownValues) {
  EXPECT_EQ(Checksum(""), "99aa06d3014798d86001c324468d497f");
  FaultFileSystem files;
  ASSERT_OK(files.Append("/f", std::string((3 << 20) + 5, 'q')));
  ASSERT_OK_AND_ASSIGN(const RankFile file, DescribeRankFile(&files, "/", "f"));
  EXPECT_EQ(file.bytes, (3 << 20) + 5);
  EXPECT_EQ(file.checksum, Checksum(std::string((3 << 20) + 5, 'q')));
  EXPECT_THAT(DescribeRankFile(&files, "/", "g"),
              StatusIs(absl::StatusCode::kNotFound, _));
}

}  // namespace
}  // namespace caracal
