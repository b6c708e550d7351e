// Damaged files and full disks: an error each time, never a crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal::hdf5 {
namespace {

using ::testing::HasSubstr;

constexpr char kPath[] = "/file.h5";

// A bit of everything the wrapper writes.
absl::Status WriteSample(FileSystem* files) {
  ASSIGN_OR_RETURN(File file, File::Create(kPath, files));
  RETURN_IF_ERROR(file.SetAttribute("/", "text", "some text"));
  RETURN_IF_ERROR(file.SetAttribute("/", "number", 42));
  const std::vector<float> data(64, 1.5f);
  RETURN_IF_ERROR(file.Write<float>("/group/data", {8, 8}, data));
  RETURN_IF_ERROR(file.SetAttribute("/group/data", "scale", 0.5));
  RETURN_IF_ERROR(file.WriteStrings("/strings", {"a", "bc"}));
  ASSIGN_OR_RETURN(Dataset rows,
                   file.CreateExtensible<int32_t>(
                       "/rows", {4}, {.chunk_rows = 2, .deflate_level = 1}));
  const std::vector<int32_t> tokens(20, 7);
  RETURN_IF_ERROR(rows.Append<int32_t>(tokens));
  RETURN_IF_ERROR(file.Flush());
  RETURN_IF_ERROR(rows.Append<int32_t>(tokens));
  return file.Close();
}

// Reads all there is below a group, going on after errors; the first error.
absl::Status ReadAll(const File& file, const std::string& group, int depth) {
  absl::Status first;
  const auto keep = [&first](const absl::Status& status) {
    if (first.ok()) first = status;
  };
  const auto read_attributes = [&](const std::string& object) {
    for (const char* name : {"text", "number", "scale"}) {
      const auto has = file.HasAttribute(object, name);
      keep(has.status());
      if (!has.ok() || !*has) continue;
      if (!file.StringAttribute(object, name).ok() &&
          !file.IntAttribute(object, name).ok()) {
        keep(file.DoubleAttribute(object, name).status());
      }
    }
  };
  read_attributes(group);
  const auto children = file.List(group);
  keep(children.status());
  if (!children.ok() || depth == 0) return first;
  for (const std::string& child : *children) {
    const std::string path = group == "/" ? "/" + child : group + "/" + child;
    const auto is_group = file.IsGroup(path);
    keep(is_group.status());
    if (!is_group.ok()) continue;
    if (*is_group) {
      keep(ReadAll(file, path, depth - 1));
      continue;
    }
    const auto dataset = file.OpenDataset(path);
    keep(dataset.status());
    if (!dataset.ok()) continue;
    read_attributes(path);
    const DatasetInfo& info = dataset->info();
    const uint64_t elements = ElementCount(info.shape);
    if (info.type == Type::kString) {
      keep(file.ReadStrings(path).status());
    } else if (info.type != Type::kOther && elements < 100000) {
      std::vector<uint8_t> buffer(elements * SizeOf(info.type));
      keep(dataset->ReadElements(info.type, buffer.data(), elements));
    }
  }
  return first;
}

absl::Status OpenAndReadAll(FileSystem* files) {
  ASSIGN_OR_RETURN(const File file, File::Open(kPath, files));
  return ReadAll(file, "/", 4);
}

std::string Sample(const std::string& name) {
  FaultFileSystem files;
  if (name == "own") {
    CARACAL_CHECK_OK(WriteSample(&files));
    return *files.ReadFile(kPath);
  }
  absl::StatusOr<std::string> foreign =
      FileSystem::Posix()->ReadFile("core/io/hdf5/testdata/" + name);
  CARACAL_CHECK_OK(foreign.status());
  return *std::move(foreign);
}

class Hdf5DamageTest : public ::testing::TestWithParam<const char*> {};

TEST_P(Hdf5DamageTest, EveryCut) {
  const std::string whole = Sample(GetParam());
  FaultFileSystem files;
  for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
    if (bytes > 4096 && bytes % 61 != 0) continue;
    ASSERT_OK(files.WriteFileAtomically(kPath, whole.substr(0, bytes)));
    EXPECT_THAT(File::Open(kPath, &files).status().ToString(),
                HasSubstr("file.h5: can't open"))
        << bytes;
  }
  ASSERT_OK(files.WriteFileAtomically(kPath, whole));
  EXPECT_OK(File::Open(kPath, &files));
}

TEST_P(Hdf5DamageTest, EveryByteFlipped) {
  const std::string whole = Sample(GetParam());
  FaultFileSystem files;
  ASSERT_OK(files.WriteFileAtomically(kPath, whole));
  int noticed = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    // Half of a file by h5py is padding.
    if (whole[i] == 0 && i % 8 != 0) continue;
    const uint8_t mask = i % 2 == 0 ? 0xff : 0x01;
    files.FlipBits(kPath, i, mask);
    const absl::Status status = OpenAndReadAll(&files);
    if (!status.ok()) {
      ++noticed;
      EXPECT_THAT(status.ToString(), HasSubstr("file.h5"));
    }
    files.FlipBits(kPath, i, mask);
  }
  EXPECT_GT(noticed, 200);
  EXPECT_OK(OpenAndReadAll(&files));
}

INSTANTIATE_TEST_SUITE_P(Samples, Hdf5DamageTest,
                         ::testing::Values("own", "rows.h5"));

// The oldest format has no checksum that would tell: the tree of chunks says
// that one is a byte shorter than the others, and than its shape.
TEST(Hdf5DamagedChunksTest, AChunkStoredShorter) {
  std::string bytes = Sample("rows.h5");
  // A node of chunks; 24 bytes on, the length of its first.
  const size_t node = bytes.find(std::string("TREE\x01", 5));
  ASSERT_NE(node, std::string::npos);
  ASSERT_EQ(bytes[node + 24], 9);
  bytes[node + 24] = 8;
  FaultFileSystem files;
  ASSERT_OK(files.WriteFileAtomically(kPath, bytes));
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(kPath, &files));
  EXPECT_THAT(file.OpenDataset("/loss_mask"),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("file.h5: /loss_mask: 3 chunks of 9 bytes "
                                 "expected, but 26 bytes are stored")));
}

// Nor do its attributes say how far they may be read.
TEST(Hdf5DamagedAttributesTest, LengthsBeyondTheMessage) {
  const std::string whole = Sample("rows.h5");
  // Name (8 bytes), type: class and size, ..., space: version and rank.
  const size_t name = whole.find(std::string("number\0\0\x10\x08", 10));
  ASSERT_NE(name, std::string::npos);
  const size_t message = name - 8;
  const struct {
    const char* what;
    size_t at;
    char before, after;
  } kChanges[] = {
      {"the name has no end", message + 2, 7, 6},
      {"a type that is cut short", message + 4, 12, 7},
      {"an attribute beyond the message", message + 2, 7, 127},
      {"a value of 72 bytes", name + 12, 8, 72},
      {"a compound type", name + 8, 0x10, 0x16},
      {"a space of 32 dimensions", name + 8 + 16 + 1, 0, 32},
  };
  for (const auto& change : kChanges) {
    SCOPED_TRACE(change.what);
    std::string bytes = whole;
    ASSERT_EQ(bytes[change.at], change.before);
    bytes[change.at] = change.after;
    FaultFileSystem files;
    ASSERT_OK(files.WriteFileAtomically(kPath, bytes));
    ASSERT_OK_AND_ASSIGN(const File file, File::Open(kPath, &files));
    const auto refused = StatusIs(
        absl::StatusCode::kDataLoss,
        HasSubstr("file.h5: /: the lengths of its attributes make no sense"));
    EXPECT_THAT(file.HasAttribute("/", "text"), refused);
    EXPECT_THAT(file.IntAttribute("/", "number"), refused);
  }
}

// Whichever write is the first to fail, the caller is told, at the latest by
// Close, and the library stays usable.
TEST(Hdf5FullDiskTest, EveryWriteMayBeTheFirstToFail) {
  int64_t failures = 0;
  while (true) {
    FaultFileSystem files;
    files.RunOutOfSpaceAfter(failures);
    const absl::Status status = WriteSample(&files);
    if (status.ok()) break;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                                 HasSubstr("file.h5")));
    ++failures;
  }
  EXPECT_GT(failures, 5);
  FaultFileSystem files;
  ASSERT_OK(WriteSample(&files));
  EXPECT_OK(OpenAndReadAll(&files));
}

TEST(Hdf5FullDiskTest, TheErrorStays) {
  FaultFileSystem files;
  ASSERT_OK_AND_ASSIGN(File file, File::CreateTemporary(kPath, &files));
  files.RunOutOfSpaceAfter(0);
  const std::vector<float> data(1 << 16);
  const auto full =
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("file.h5"));
  EXPECT_THAT(file.Write<float>("/a", {1 << 16}, data), full);
  files.RunOutOfSpaceAfter(-1);
  EXPECT_THAT(file.Write<float>("/b", {1 << 16}, data), full);
  EXPECT_THAT(file.Flush(), full);
  EXPECT_THAT(file.Commit(), full);
  EXPECT_THAT(file.Close(), full);
  EXPECT_FALSE(files.Exists(kPath));
  EXPECT_FALSE(files.Exists("/file.h5.tmp"));
}

// The real thing: a limit on file sizes makes the kernel refuse writes.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    old_handler_ = signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit before_;
  sighandler_t old_handler_;
};

TEST(Hdf5FullDiskTest, KernelRefusesToGrowTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder.File("limited.h5");
  const std::vector<float> data(1 << 16);
  {
    const FileSizeLimit limit(100000);
    ASSERT_OK_AND_ASSIGN(File file, File::Create(path));
    EXPECT_FALSE(file.Write<float>("/a", {1 << 16}, data).ok());
    EXPECT_THAT(file.Close().ToString(), HasSubstr("limited.h5"));
  }
  ASSERT_OK_AND_ASSIGN(File file, File::Create(path));
  EXPECT_OK(file.Write<float>("/a", {1 << 16}, data));
  EXPECT_OK(file.Close());
}

}  // namespace
}  // namespace caracal::hdf5
