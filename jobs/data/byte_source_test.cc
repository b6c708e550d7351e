#include "jobs/data/byte_source.h"

#include <algorithm>
#include <random>
#include <string>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/data/test_support.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ByteSourceTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, absl::string_view bytes) {
    const std::string path = folder_.File(name);
    CARACAL_CHECK_OK(FileSystem::Posix()->WriteFileAtomically(path, bytes));
    return path;
  }
  // All of a file, in reads of `step` bytes.
  absl::StatusOr<std::string> ReadAll(const std::string& path, size_t step) {
    ASSIGN_OR_RETURN(const auto source,
                     OpenByteSource(path, FileSystem::Posix()));
    std::string out;
    std::string block(step, '\0');
    while (true) {
      ASSIGN_OR_RETURN(const size_t n, source->Read(block.data(), step));
      if (n == 0) break;
      out.append(block, 0, n);
    }
    ASSIGN_OR_RETURN(const uint64_t size, FileSystem::Posix()->FileSize(path));
    EXPECT_EQ(source->file_bytes(), size);
    return out;
  }

  TemporaryFolder folder_;
};

// Larger than any buffer, and only half compressible.
std::string LongText() {
  std::mt19937 random(3);
  std::string text;
  while (text.size() < 700000) {
    text += static_cast<char>(random() % 16 + 'a');
  }
  return text + std::string(300000, 'z');
}

TEST_F(ByteSourceTest, AllFormatsGiveTheSameBytes) {
  const std::string text = LongText();
  for (const auto& [name, bytes] :
       {std::pair{"a.txt", text},
        {"a.txt.gz", Gzip(text)},
        {"a.txt.zst", Zstd(text)},
        {"misnamed.txt", Gzip(text)},
        {"parts.gz",
         Gzip(text.substr(0, 1000)) + Gzip("") + Gzip(text.substr(1000))},
        {"padded.gz", Gzip(text) + std::string(100, '\0')},
        {"parts.zst",
         Zstd(text.substr(0, 5)) + Zstd("") + Zstd(text.substr(5))}}) {
    SCOPED_TRACE(name);
    const std::string path = Write(name, bytes);
    for (const size_t step : {1000, 70000, 2000000}) {
      ASSERT_OK_AND_ASSIGN(const std::string read, ReadAll(path, step));
      EXPECT_TRUE(read == text) << step << ": " << read.size();
    }
  }
}

TEST_F(ByteSourceTest, ShortFiles) {
  for (const std::string& text : {std::string(), std::string("x")}) {
    for (const std::string& bytes : {text, Gzip(text), Zstd(text)}) {
      ASSERT_OK_AND_ASSIGN(const std::string read,
                           ReadAll(Write("short", bytes), 10));
      EXPECT_EQ(read, text);
    }
  }
}

TEST_F(ByteSourceTest, CutAndDamagedFilesAreNamed) {
  const std::string text = LongText();
  for (std::string bytes : {Gzip(text), Zstd(text)}) {
    const std::string cut = Write("cut", bytes.substr(0, bytes.size() - 3));
    EXPECT_THAT(ReadAll(cut, 1000),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(cut), HasSubstr("in the middle"))));
    for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + 64; ++i) {
      bytes[i] = static_cast<char>(~bytes[i]);
    }
    const std::string bad = Write("bad", bytes);
    const auto read = ReadAll(bad, 1000);
    // Zstandard without checksum may not see it; it must not crash either.
    if (read.ok()) {
      EXPECT_NE(*read, text);
    } else {
      EXPECT_THAT(read.status(),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr(bad)));
    }
  }
  const std::string trailing = Write("t.gz", Gzip("abc") + "garbage");
  EXPECT_THAT(ReadAll(trailing, 1000),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("t.gz")));
}

TEST_F(ByteSourceTest, MissingFilesAndFolders) {
  EXPECT_THAT(ReadAll(folder_.File("none"), 10),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_THAT(
      ReadAll(folder_.path(), 10),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a folder")));
}

}  // namespace
}  // namespace caracal
