// Crashes and full disks at every step of writing and pruning: what was there
// before stays usable, and nothing half-written is ever taken for a
// checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/checkpoint/sample_contents.h"
#include "dist/checkpoint/writer.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Unsynced = FaultFileSystem::Unsynced;

constexpr char kRun[] = "/run";

absl::Status Write(FileSystem* files, const SampleContents& sample) {
  return WriteCheckpoint(files, CheckpointFolder(kRun, sample.get().step),
                         sample.get());
}

class CrashTest : public ::testing::TestWithParam<Unsynced> {};

TEST_P(CrashTest, WritingStoppedAtEveryStep) {
  const SampleContents first(1);
  const SampleContents second(2);
  bool finished = false;
  int64_t steps = 0;
  for (; !finished; ++steps) {
    FaultFileSystem files;
    ASSERT_OK(Write(&files, first));
    files.StopAfter(steps);
    finished = Write(&files, second).ok();
    files.Crash(GetParam());
    ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files, kRun));
    ASSERT_TRUE(latest.step.has_value());
    EXPECT_TRUE(!finished || *latest.step == 2);
    (*latest.step == 2 ? second : first).ExpectIn(&files, latest.folder);
    first.ExpectIn(&files, CheckpointFolder(kRun, 1));

    // And the run goes on.
    ASSERT_OK(Write(&files, second));
    second.ExpectIn(&files, CheckpointFolder(kRun, 2));
    ASSERT_OK(PruneCheckpoints(&files, kRun, 1));
    EXPECT_THAT(*files.List(CheckpointsFolder(kRun)),
                ::testing::ElementsAre("checkpoint-00000002"));
  }
  EXPECT_GT(steps, 12);
}

// The checkpoint of the same step is replaced: the older one must do.
TEST_P(CrashTest, RewritingStoppedAtEveryStep) {
  const SampleContents first(1);
  const SampleContents second(2);
  const SampleContents rewritten(2, 128);
  bool finished = false;
  for (int64_t steps = 0; !finished; ++steps) {
    FaultFileSystem files;
    ASSERT_OK(Write(&files, first));
    ASSERT_OK(Write(&files, second));
    files.StopAfter(steps);
    finished = Write(&files, rewritten).ok();
    files.Crash(GetParam());
    ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files, kRun));
    ASSERT_TRUE(latest.step.has_value());
    if (*latest.step == 1) {
      first.ExpectIn(&files, latest.folder);
      continue;
    }
    ASSERT_OK_AND_ASSIGN(const auto reader,
                         CheckpointReader::Open(&files, latest.folder));
    std::vector<float> buffer(128);
    const bool is_old = reader
                            .ReadTensor("parameters/layers/0/w_q", DType::kF32,
                                        {4, 16}, buffer.data())
                            .ok();
    (is_old ? second : rewritten).ExpectIn(&files, latest.folder);
  }
}

TEST_P(CrashTest, PruningStoppedAtEveryStep) {
  bool finished = false;
  for (int64_t steps = 0; !finished; ++steps) {
    FaultFileSystem files;
    for (const uint64_t step : {1, 2, 3}) {
      ASSERT_OK(Write(&files, SampleContents(step)));
    }
    files.StopAfter(steps);
    finished = PruneCheckpoints(&files, kRun, 1).ok();
    files.Crash(GetParam());
    ASSERT_OK_AND_ASSIGN(const auto left, ListCheckpoints(&files, kRun));
    // Whatever is still listed is whole.
    for (const uint64_t step : left) {
      SampleContents(step).ExpectIn(&files, CheckpointFolder(kRun, step));
    }
    ASSERT_OK(PruneCheckpoints(&files, kRun, 1));
    EXPECT_THAT(*files.List(CheckpointsFolder(kRun)),
                ::testing::ElementsAre("checkpoint-00000003"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, CrashTest,
                         ::testing::Values(Unsynced::kLost,
                                           Unsynced::kNamesKept,
                                           Unsynced::kKept));

TEST(FullDiskTest, EveryWriteMayBeTheFirstToFail) {
  const SampleContents first(1);
  const SampleContents second(2);
  int64_t failures = 0;
  while (true) {
    FaultFileSystem files;
    ASSERT_OK(Write(&files, first));
    files.RunOutOfSpaceAfter(failures);
    const absl::Status status = Write(&files, second);
    if (status.ok()) break;
    ++failures;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                                 HasSubstr("checkpoint-00000002")));
    // Its space is given back, and the other is as it was.
    EXPECT_FALSE(files.Exists(CheckpointFolder(kRun, 2)));
    first.ExpectIn(&files, CheckpointFolder(kRun, 1));
    ASSERT_OK_AND_ASSIGN(const auto latest, LatestCheckpoint(&files, kRun));
    EXPECT_EQ(latest.step, 1);
    EXPECT_THAT(latest.warnings, IsEmpty());
    files.RunOutOfSpaceAfter(-1);
    ASSERT_OK(Write(&files, second));
  }
  EXPECT_GT(failures, 3);
}

// The same with the kernel refusing: a limit on the size of files.
TEST(FullDiskTest, KernelRefusesToGrowTheFile) {
  const TemporaryFolder folder;
  FileSystem* const files = FileSystem::Posix();
  const SampleContents first(1);
  const std::string path = folder.File("first");
  ASSERT_OK(WriteCheckpoint(files, path, first.get()));
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const sighandler_t handler = signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = 1 << 20;
  setrlimit(RLIMIT_FSIZE, &limit);
  const absl::Status status = WriteCheckpoint(files, folder.File("second"),
                                              SampleContents(2, 1 << 19).get());
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_THAT(status.ToString(), HasSubstr("second/rank-00000.h5"));
  EXPECT_FALSE(files->Exists(folder.File("second")));
  first.ExpectIn(files, path);
}

}  // namespace
}  // namespace caracal
