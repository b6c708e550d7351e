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
}

TEST_F(ByteSourceTest, EveryCutIsSeen) {
  for (const std::string& bytes :
       {Gzip("some text") + Gzip("more"), Zstd("some text") + Zstd("more")}) {
    const bool gzip = bytes[0] == '\x1F';
    const std::string name = gzip ? "cut.gz" : "cut.zst";
    const size_t border = (gzip ? Gzip("some text") : Zstd("some text")).size();
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      const std::string path = Write(name, bytes.substr(0, cut));
      if (cut == border) {
        // Nothing tells that there was more.
        EXPECT_OK(ReadAll(path, 1000));
        continue;
      }
      EXPECT_THAT(ReadAll(path, 1000),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)))
          << cut;
    }
  }
}

TEST_F(ByteSourceTest, BytesBehindTheEndAreNoPartOfIt) {
  const std::string gzip = Write("t.gz", Gzip("abc") + "garbage");
  EXPECT_THAT(
      ReadAll(gzip, 1000),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr(absl::StrCat("t.gz: behind the gzip data, at byte "
                                      "offset ",
                                      Gzip("abc").size(),
                                      ", come bytes that are none: 67 61 72 "
                                      "62 ..."))));
  const std::string line_break = Write("t.gz", Gzip("abc") + "\n");
  EXPECT_THAT(ReadAll(line_break, 1000),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("come bytes that are none: 0A")));
  const std::string padded =
      Write("t.gz", Gzip("abc") + std::string(9, '\0') + "x");
  EXPECT_THAT(ReadAll(padded, 1000),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("none: 78")));
  const std::string zstd = Write("t.zst", Zstd("abc") + "garbage");
  EXPECT_THAT(ReadAll(zstd, 1000),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("t.zst: behind the Zstandard data")));
}

TEST_F(ByteSourceTest, ANameMustKeepWhatItPromises) {
  const auto refused = [&](const std::string& name, const std::string& bytes,
                           const char* expected, const char* found) {
    const std::string path = Write(name, bytes);
    EXPECT_THAT(ReadAll(path, 1000),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(path), HasSubstr(expected),
                               HasSubstr(found))));
  };
  const char* const gzip = "gzip, which begins with the bytes 1F 8B";
  const char* const zstd = "Zstandard, which begins with the bytes 28 B5 2F FD";
  std::string damaged = Gzip("abc");
  damaged[1] = 'x';
  refused("a.txt.gz", damaged, gzip, "found 1F 78 08 00:");
  damaged = Zstd("abc");
  damaged[0] = 'x';
  refused("a.txt.zst", damaged, zstd, "found 78 B5 2F FD:");
  refused("a.jsonl.GZ", "{\"text\": \"plain\"}", gzip, "found 7B 22 74 65:");
  refused("a.gz", Zstd("abc"), gzip, "found 28 B5 2F FD (Zstandard):");
  refused("a.zst", Gzip("abc"), zstd, "(gzip):");
  refused("a.gz", "", gzip, "found an empty file:");
  refused("a.gz", "\x1F", gzip, "found 1F:");
  // Both formats have empty contents, too.
  for (const auto& [name, bytes] :
       {std::pair{"e.gz", Gzip("")}, {"e.zst", Zstd("")}}) {
    ASSERT_OK_AND_ASSIGN(const std::string read,
                         ReadAll(Write(name, bytes), 10));
    EXPECT_EQ(read, "");
  }
}

TEST_F(ByteSourceTest, ZstandardMayBeginWithAFrameToSkip) {
  const std::string skipped("\x5A\x2A\x4D\x18\x03\0\0\0abc", 11);
  ASSERT_OK_AND_ASSIGN(const std::string read,
                       ReadAll(Write("a.zst", skipped + Zstd("text")), 10));
  EXPECT_EQ(read, "text");
}

TEST_F(ByteSourceTest, PipesAreReadAsTheyCome) {
  const std::string text = LongText().substr(0, 50000);
  for (const std::string& bytes :
       {text, Gzip(text), Zstd(text), std::string(), std::string("x")}) {
    FilledPipe pipe(bytes);
    ASSERT_OK_AND_ASSIGN(const auto source,
                         OpenByteSource(pipe.path(), FileSystem::Posix()));
    std::string read, block(7000, '\0');
    while (true) {
      ASSERT_OK_AND_ASSIGN(const size_t n,
                           source->Read(block.data(), block.size()));
      if (n == 0) break;
      read.append(block, 0, n);
    }
    EXPECT_TRUE(read == (bytes.size() > 1 ? text : bytes)) << read.size();
    EXPECT_EQ(source->file_bytes(), bytes.size());
  }
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
