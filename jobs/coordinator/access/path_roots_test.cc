#include "jobs/coordinator/access/path_roots.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/access/rooted_file_system.h"

namespace caracal {
namespace {

using absl::StatusCode;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class PathRootsTest : public ::testing::Test {
 protected:
  PathRootsTest() {
    fs::create_directories(in("models/a"));
    fs::create_directories(out("b"));
    Write(in("models/a/config.json"));
    Write(out("secret"));
    Write(folder_.File("in-other"));
    fs::create_symlink(out("secret"), in("link"));
    fs::create_symlink(out("b"), in("folder_link"));
    fs::create_symlink("models/a", in("inner_link"));
    fs::create_symlink(out("nothing"), in("dangling"));
    fs::create_symlink("loop", in("loop"));
  }
  std::string in(const std::string& name) { return folder_.File("in/" + name); }
  std::string out(const std::string& name) {
    return folder_.File("out/" + name);
  }
  static void Write(const std::string& path) {
    CARACAL_CHECK_OK(FileSystem::Posix()->WriteFileAtomically(path, "text"));
  }
  PathRoots Roots() {
    const auto roots = PathRoots::Of({in("")});
    CARACAL_CHECK_OK(roots.status());
    return *roots;
  }

  TemporaryFolder folder_;
};

TEST_F(PathRootsTest, LinksAndDotsAreFollowedFirst) {
  const PathRoots roots = Roots();
  for (const std::string& path :
       {in(""), in("models/a"), in("models/../models/a/config.json"),
        in("inner_link/config.json"), in("not/there"), out("../in/models")}) {
    EXPECT_TRUE(roots.Resolve(path).ok()) << path;
  }
  EXPECT_EQ(*roots.Resolve(in("inner_link/config.json")),
            fs::canonical(in("models/a/config.json")));
  for (const std::string& path :
       {out("secret"), in("../out/secret"), in("link"), in("folder_link"),
        in("folder_link/more"), in("models/a/../../../out/secret"),
        in("dangling"), in("loop"), folder_.File("in-other"), std::string("/"),
        std::string("/proc/self/root/etc/passwd"), std::string("/etc/passwd"),
        in("") + std::string("\0/x", 3), std::string("")}) {
    EXPECT_THAT(roots.Resolve(path).status(),
                StatusIs(StatusCode::kPermissionDenied, HasSubstr("outside")))
        << path;
  }
  // Nobody learns what is outside.
  EXPECT_EQ(roots.Resolve(out("secret")).status(),
            roots.Resolve(out("nothing")).status());
}

TEST_F(PathRootsTest, WithoutRootsEverythingIsInside) {
  EXPECT_OK(PathRoots().Resolve("/etc/passwd").status());
  EXPECT_THAT(PathRoots::Of({out("secret")}).status(),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no folder")));
  EXPECT_OK(PathRoots::Of({"/"})->Resolve("/etc/passwd").status());
}

TEST_F(PathRootsTest, EveryPathOfAJobIsCheckedAndToldAtOnce) {
  proto::Job job;
  job.mutable_model()->set_path(out("secret"));
  job.mutable_data()->set_path(in("models"));
  job.mutable_data()->set_validation(in("link"));
  std::vector<Problem> problems = {{"model.path", "is 4 bytes long", ""},
                                   {"seed", "is odd", ""}};
  CheckJobPaths(job, Roots(), &problems);
  std::vector<std::string> fields;
  for (const Problem& problem : problems) fields.push_back(problem.field);
  EXPECT_THAT(fields, ElementsAre("seed", "model.path", "data.validation"));
  EXPECT_THAT(problems[1].message, HasSubstr("outside"));
  EXPECT_THAT(Roots().Check(job),
              StatusIs(StatusCode::kPermissionDenied, HasSubstr("model.path")));
  EXPECT_OK(PathRoots().Check(job));
}

// What each string of a job is.
TEST_F(PathRootsTest, EveryStringOfAJobIsKnownToBeAPathOrNone) {
  const std::set<std::string> no_paths = {"Job.name",
                                          "Job.preset",
                                          "Job.expanded_from",
                                          "Job.device",
                                          "Attention.feature_map",
                                          "Attention.window_kind",
                                          "Attention.feature_init",
                                          "Lora.projections",
                                          "Evaluation.prompt",
                                          "Probe.kinds",
                                          "Slurm.partition",
                                          "Slurm.account",
                                          "Slurm.qos",
                                          "Slurm.time",
                                          "Slurm.memory",
                                          "Slurm.gres",
                                          "Slurm.constraint",
                                          "Slurm.reservation"};
  const std::map<std::string, std::string> paths = {
      {"Model.path", "model.path"},
      {"Data.path", "data.path"},
      {"Data.validation", "data.validation"}};
  std::vector<std::string> found;
  const auto* file = proto::Job::descriptor()->file();
  const std::function<void(const google::protobuf::Descriptor*)> look =
      [&](const google::protobuf::Descriptor* message) {
        for (int i = 0; i < message->field_count(); ++i) {
          const auto* field = message->field(i);
          if (field->cpp_type() !=
              google::protobuf::FieldDescriptor::CPPTYPE_STRING) {
            continue;
          }
          const std::string name =
              absl::StrCat(message->name(), ".", field->name());
          const auto path = paths.find(name);
          if (path != paths.end()) {
            found.push_back(path->second);
          } else {
            EXPECT_TRUE(no_paths.count(name))
                << name << ": is it a path? Then PathsOf() has to have it";
          }
        }
        for (int i = 0; i < message->nested_type_count(); ++i) {
          look(message->nested_type(i));
        }
      };
  for (int i = 0; i < file->message_type_count(); ++i) {
    look(file->message_type(i));
  }
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(JobPathFields()));
}

TEST_F(PathRootsTest, NothingOutsideIsThereToRead) {
  RootedFileSystem files(Roots(), FileSystem::Posix());
  EXPECT_EQ(*files.ReadFile(in("inner_link/config.json")), "text");
  EXPECT_TRUE(files.IsFolder(in("models")));
  EXPECT_TRUE(files.Exists(in("models")));
  EXPECT_OK(files.List(in("models")).status());
  EXPECT_OK(files.Open(in("models/a/config.json")).status());
  EXPECT_OK(files.FileSize(in("models/a/config.json")).status());
  for (const std::string& path : {out("secret"), in("link")}) {
    EXPECT_FALSE(files.Exists(path));
    EXPECT_FALSE(files.IsFolder(path));
    EXPECT_THAT(files.ReadFile(path),
                StatusIs(StatusCode::kPermissionDenied, _));
    EXPECT_THAT(files.Map(path), StatusIs(StatusCode::kPermissionDenied, _));
    EXPECT_THAT(files.Open(path), StatusIs(StatusCode::kPermissionDenied, _));
    EXPECT_THAT(files.List(path), StatusIs(StatusCode::kPermissionDenied, _));
    EXPECT_THAT(files.FileSize(path),
                StatusIs(StatusCode::kPermissionDenied, _));
  }
  // Nothing is written, inside neither.
  const std::string path = in("new");
  EXPECT_FALSE(files.Create(path).ok());
  EXPECT_FALSE(files.WriteFileAtomically(path, "x").ok());
  EXPECT_FALSE(files.Append(path, "x").ok());
  EXPECT_FALSE(files.CreateFolder(path).ok());
  EXPECT_FALSE(files.Remove(in("models/a/config.json")).ok());
  EXPECT_FALSE(files.Truncate(in("models/a/config.json"), 0).ok());
  EXPECT_FALSE(files.CommitFile(in("models/a/config.json"), path).ok());
  EXPECT_FALSE(files.RemoveFolder(in("models")).ok());
  EXPECT_FALSE(files.SyncFolder(in("models")).ok());
  EXPECT_EQ(*FileSystem::Posix()->ReadFile(in("models/a/config.json")), "text");
}

TEST_F(PathRootsTest, NobodyWaitsForPipesAndDevices) {
  ASSERT_EQ(mkfifo(in("pipe").c_str(), 0600), 0);
  RootedFileSystem files(PathRoots(), FileSystem::Posix());
  for (const std::string& path : {in("pipe"), std::string("/dev/zero")}) {
    EXPECT_THAT(files.ReadFile(path),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("neither")));
    EXPECT_THAT(files.Map(path), StatusIs(StatusCode::kInvalidArgument, _));
    EXPECT_FALSE(files.Exists(path));
  }
}

}  // namespace
}  // namespace caracal
