#include "dist/checkpoint/async_checkpointer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <new>

#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "dist/checkpoint/sample_contents.h"

// Allocations of the thread that counts. (Inlined, the compiler would take
// malloc and operator delete for a mismatch.)
static thread_local int64_t allocations = 0;

[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace caracal {
namespace {

using ::testing::HasSubstr;

TEST(AsyncCheckpointerTest, WritesTheSnapshotNotWhatComesAfter) {
  FaultFileSystem files;
  std::vector<std::string> written;
  AsyncCheckpointer checkpointer(&files, [&](const std::string& folder) {
    written.push_back(folder);
    return absl::OkStatus();
  });
  SampleContents sample(1);
  ASSERT_OK(checkpointer.Start("/a", sample.get()));
  sample.Scribble();
  ASSERT_OK(checkpointer.Start("/b", SampleContents(2).get()));
  ASSERT_OK(checkpointer.Wait());
  SampleContents(1).ExpectIn(&files, "/a");
  SampleContents(2).ExpectIn(&files, "/b");
  EXPECT_THAT(written, ::testing::ElementsAre("/a", "/b"));
}

TEST(AsyncCheckpointerTest, TheCallerGoesOnWhileItWrites) {
  FaultFileSystem files;
  std::promise<void> may_finish;
  AsyncCheckpointer checkpointer(&files, [&](const std::string&) {
    may_finish.get_future().wait();
    return absl::OkStatus();
  });
  ASSERT_OK(checkpointer.Start("/a", SampleContents(1).get()));
  may_finish.set_value();  // reached although the write hasn't finished
  ASSERT_OK(checkpointer.Wait());
  SampleContents(1).ExpectIn(&files, "/a");
}

TEST(AsyncCheckpointerTest, AnErrorIsReportedByTheNextCallOnce) {
  FaultFileSystem files;
  AsyncCheckpointer checkpointer(&files);
  const auto full =
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("/a/"));
  files.RunOutOfSpaceAfter(0);
  ASSERT_OK(checkpointer.Start("/a", SampleContents(1).get()));
  EXPECT_THAT(checkpointer.Wait(), full);
  EXPECT_OK(checkpointer.Wait());
  ASSERT_OK(checkpointer.Start("/a", SampleContents(1).get()));
  EXPECT_THAT(checkpointer.Start("/b", SampleContents(2).get()), full);
  EXPECT_THAT(checkpointer.Wait().ToString(), HasSubstr("/b/"));
  files.RunOutOfSpaceAfter(-1);
  ASSERT_OK(checkpointer.Start("/c", SampleContents(3).get()));
  ASSERT_OK(checkpointer.Wait());
  SampleContents(3).ExpectIn(&files, "/c");
}

TEST(AsyncCheckpointerTest, ErrorsOfTheCallbackCount) {
  FaultFileSystem files;
  AsyncCheckpointer checkpointer(&files, [](const std::string& folder) {
    return absl::InternalError("pruning after " + folder);
  });
  ASSERT_OK(checkpointer.Start("/a", SampleContents(1).get()));
  EXPECT_THAT(checkpointer.Wait(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("after /a")));
}

TEST(AsyncCheckpointerTest, DestructionFinishesTheWrite) {
  FaultFileSystem files;
  {
    AsyncCheckpointer checkpointer(&files);
    ASSERT_OK(checkpointer.Start("/a", SampleContents(1).get()));
  }
  SampleContents(1).ExpectIn(&files, "/a");
}

TEST(AsyncCheckpointerTest, ChangingSizes) {
  FaultFileSystem files;
  AsyncCheckpointer checkpointer(&files);
  for (const uint64_t elements : {64, 4096, 16, 1024}) {
    const SampleContents sample(1, elements);
    ASSERT_OK(checkpointer.Start("/a", sample.get()));
    ASSERT_OK(checkpointer.Wait());
    sample.ExpectIn(&files, "/a");
  }
}

TEST(AsyncCheckpointerTest, NoAllocationsAfterTheFirst) {
  FaultFileSystem files;
  AsyncCheckpointer checkpointer(&files);
  const SampleContents sample(1, 4096);
  const std::string folder = "/run/checkpoints/checkpoint-00000001";
  ASSERT_OK(checkpointer.Start(folder, sample.get()));
  ASSERT_OK(checkpointer.Wait());
  for (int i = 0; i < 3; ++i) {
    const int64_t before = allocations;
    const absl::Status status = checkpointer.Start(folder, sample.get());
    const int64_t made = allocations - before;
    ASSERT_OK(status);
    EXPECT_EQ(made, 0);
  }
  ASSERT_OK(checkpointer.Wait());
  EXPECT_GT(allocations, 0);  // the counter works
}

}  // namespace
}  // namespace caracal
