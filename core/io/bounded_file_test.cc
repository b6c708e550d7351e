#include "core/io/bounded_file.h"

#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(BoundedFileTest, ReadsUpToTheBound) {
  const TemporaryFolder folder;
  FileSystem* const files = FileSystem::Posix();
  const std::string path = folder.File("f");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 18,
                            (size_t{1} << 18) + 1, size_t{700000}}) {
    const std::string text(size, 'x');
    ASSERT_OK(files->WriteFileAtomically(path, text));
    ASSERT_OK_AND_ASSIGN(const std::string read,
                         ReadBoundedFile(path, size, files));
    EXPECT_TRUE(read == text) << size;
    if (size == 0) continue;
    EXPECT_THAT(
        ReadBoundedFile(path, size - 1, files),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr(path), HasSubstr("has more than the"))));
  }
}

TEST(BoundedFileTest, EndlessAndMissingFiles) {
  FileSystem* const files = FileSystem::Posix();
  EXPECT_THAT(
      ReadBoundedFile("/dev/zero", 1 << 20, files),
      StatusIs(absl::StatusCode::kDataLoss,
               HasSubstr("/dev/zero: has more than the 1048576 bytes")));
  EXPECT_THAT(ReadBoundedFile("/no/such", 1, files),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such")));
  EXPECT_THAT(ReadBoundedFile("/", 1, files),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/")));
}

}  // namespace
}  // namespace caracal
