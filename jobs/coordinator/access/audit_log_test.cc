#include "jobs/coordinator/access/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/fake_clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class AuditLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<AuditLog> Open(const AuditLogOptions& options = {}) {
    auto log = AuditLog::Open(path_, options, &clock_);
    CARACAL_CHECK_OK(log.status());
    (*log)->OnChange([this](const absl::Status& status) {
      changes_.push_back(status.ok());
    });
    return *std::move(log);
  }
  std::vector<nlohmann::json> Lines(const std::string& path) {
    std::vector<nlohmann::json> out;
    const auto text = FileSystem::Posix()->ReadFile(path);
    EXPECT_OK(text.status());
    for (const auto line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
      out.push_back(nlohmann::json::parse(std::string(line)));
    }
    return out;
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_.File("audit.jsonl");
  FakeClock clock_;
  std::vector<bool> changes_;
};

TEST_F(AuditLogTest, OneObjectALineOverReopening) {
  Open()->Write({.caller = "ann",
                 .role = "admin",
                 .peer = "ipv4:10.0.0.7:5",
                 .method = "Jobs.Cancel",
                 .job = 7});
  // Whatever is in it stays in its line.
  Open()->Write({.peer = "x\n{\"caller\":\"ann\"}\xff",
                 .method = "Jobs.Submit",
                 .outcome = absl::PermissionDeniedError("no\nmore")});
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600);
  const auto lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[0].dump(),
            R"({"caller":"ann","job":7,"method":"Jobs.Cancel","outcome":"OK",)"
            R"("peer":"ipv4:10.0.0.7:5","role":"admin",)"
            R"("time":"2000-01-01T00:00:00.000000Z"})");
  EXPECT_EQ(lines[1]["outcome"], "PERMISSION_DENIED");
  EXPECT_EQ(lines[1]["why"], "no");
  EXPECT_EQ(lines[1]["caller"], "");
}

TEST_F(AuditLogTest, IsRotatedBySize) {
  const auto log = Open({.most_bytes = 400, .keep = 2});
  for (int i = 1; i <= 20; ++i) {
    log->Write({.caller = "ann", .method = "Jobs.Submit", .job = uint64_t(i)});
  }
  uint64_t next = 20;
  for (const char* end : {"", ".1", ".2"}) {
    const auto lines = Lines(path_ + end);
    ASSERT_FALSE(lines.empty());
    for (auto it = lines.rbegin(); it != lines.rend(); ++it) {
      EXPECT_EQ((*it)["job"], next--);
    }
  }
  EXPECT_FALSE(FileSystem::Posix()->Exists(path_ + ".3"));
}

TEST_F(AuditLogTest, AFloodOfRefusalsIsCounted) {
  const auto log = Open({.refusals_per_second = 1});
  const AuditRecord refused = {.method = "Jobs.Get",
                               .outcome = absl::UnauthenticatedError("no")};
  for (int i = 0; i < 1000; ++i) log->Write(refused);
  log->Write({.caller = "ann", .method = "Jobs.Cancel", .job = 1});
  const auto lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_EQ(lines[2]["refusals_left_out_before"], 998);
}

TEST_F(AuditLogTest, AFullDiskIsToldAndNoHalfLineStays) {
  const auto log = Open();
  log->Write({.caller = "ann", .method = "Jobs.Cancel", .job = 1});
  // No file of this process may grow any more, as on a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = *FileSystem::Posix()->FileSize(path_) + 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  for (int i = 0; i < 3; ++i) {
    log->Write({.caller = "ann", .method = "Jobs.Cancel", .job = 2});
  }
  EXPECT_FALSE(log->health().ok());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  log->Write({.caller = "ann", .method = "Jobs.Cancel", .job = 3});
  EXPECT_OK(log->health());
  EXPECT_THAT(changes_, ElementsAre(false, true));
  const auto lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_EQ(lines[1]["job"], 3);
}

}  // namespace
}  // namespace caracal
