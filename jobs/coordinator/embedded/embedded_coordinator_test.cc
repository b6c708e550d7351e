#include "jobs/coordinator/embedded/embedded_coordinator.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/spec/job_file.h"
#include "jobs/worker/coordinator_link.h"
#include "proto/coordinator.grpc.pb.h"
#include "proto/evaluation.grpc.pb.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

proto::Job JobOf(const std::string& more) {
  std::vector<Problem> problems;
  const auto job =
      LoadJobText(absl::StrCat(R"(name: "j" preset: "ssd" model { path: "/m" }
                      data { path: "/d" } threads: 1 )",
                               more),
                  "job", "/", {}, nullptr, nullptr, &problems);
  EXPECT_OK(job);
  return *job;
}

class EmbeddedCoordinatorTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<EmbeddedCoordinator>> Start(
      const std::string& run, const proto::Job& job, bool page = false) {
    return EmbeddedCoordinator::Start(
        {.job = &job, .run_folder = run, .page = page, .stop = [this] {
           ++stops_;
         }});
  }

  // As another process finds it.
  static std::unique_ptr<proto::Jobs::Stub> Jobs(const std::string& run) {
    const auto endpoint = ReadEndpoint(run + "/coordinator/endpoint.json");
    EXPECT_OK(endpoint);
    return proto::Jobs::NewStub(MakeChannel(*endpoint));
  }
  static proto::JobInfo Get(const std::string& run, uint64_t id) {
    grpc::ClientContext context;
    proto::GetJobRequest request;
    request.set_id(id);
    proto::JobInfo job;
    const grpc::Status status = Jobs(run)->Get(&context, request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  static void Tune(const std::string& run, uint64_t id, double drop) {
    grpc::ClientContext context;
    proto::TuneRequest request;
    request.set_id(id);
    request.set_drop_probability(drop);
    proto::TuneResponse response;
    EXPECT_TRUE(Jobs(run)->Tune(&context, request, &response).ok());
  }
  static void Eventually(const std::function<bool()>& condition) {
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (!condition() && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_TRUE(condition());
  }

  TemporaryFolder folder_;
  const std::string run_ =
      std::filesystem::canonical(folder_.path()).string() + "/run";
  const proto::Job job_ = JobOf("");
  std::atomic<int> stops_{0};
};

TEST_F(EmbeddedCoordinatorTest, ServesItsRunToThisUserAlone) {
  ASSERT_OK_AND_ASSIGN(auto coordinator, Start(run_, job_));
  EXPECT_EQ(coordinator->gang(), (GangId{1, 1}));
  EXPECT_EQ(coordinator->page(), "");
  struct stat info;
  ASSERT_EQ(stat((run_ + "/coordinator").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700);
  ASSERT_OK_AND_ASSIGN(const Endpoint endpoint,
                       ReadEndpoint(coordinator->endpoint_file()));
  EXPECT_THAT(endpoint.address, StartsWith("unix:/"));
  EXPECT_THAT(endpoint.address, HasSubstr("/socket-"));
  const proto::JobInfo job = Get(run_, 1);
  EXPECT_EQ(job.state(), proto::LAUNCHING);
  EXPECT_EQ(job.run_folder(), run_);
  EXPECT_EQ(job.job(), JobText(job_));
  EXPECT_EQ(job.owner(), "local");
  {
    // It has no place for another one.
    grpc::ClientContext context;
    proto::SubmitRequest request;
    request.set_job(JobText(job_));
    proto::SubmitResponse response;
    const grpc::Status status =
        Jobs(run_)->Submit(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("`caracal run` alone"));
  }
  {
    // Nor for an evaluation, for which no worker would come.
    grpc::ClientContext context;
    proto::CreateEvaluationRequest request;
    proto::CreateEvaluationResponse response;
    const auto evaluations = proto::Evaluations::NewStub(MakeChannel(endpoint));
    const grpc::Status status =
        evaluations->Create(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("no worker"));
  }

  // Its gang talks to it within this process, and people ask it to stop.
  CoordinatorLinkOptions link;
  link.gang = coordinator->gang();
  ASSERT_OK_AND_ASSIGN(link.credential,
                       coordinator->gang_folder().ReadCredential());
  link.channel = coordinator->Channel();
  link.interval = absl::Milliseconds(10);
  link.stop = [this] { ++stops_; };
  link.fenced = [](const std::string& why) { ADD_FAILURE() << why; };
  link.tell = [](const std::string& line) { ADD_FAILURE() << line; };
  auto line = std::make_unique<CoordinatorLink>(std::move(link));
  Eventually([&] { return Get(run_, 1).state() == proto::RUNNING; });
  {
    grpc::ClientContext context;
    proto::CancelJobRequest request;
    request.set_id(1);
    proto::CancelJobResponse response;
    ASSERT_TRUE(Jobs(run_)->Cancel(&context, request, &response).ok());
  }
  Eventually([&] { return stops_ == 2; });
  line = nullptr;
  coordinator->End(absl::CancelledError("saved"));
  EXPECT_EQ(Get(run_, 1).state(), proto::CANCELLED);
  EXPECT_EQ(Get(run_, 1).reason(), "cancelled by local");
  coordinator = nullptr;
  EXPECT_FALSE(
      FileSystem::Posix()->Exists(run_ + "/coordinator/endpoint.json"));
}

TEST_F(EmbeddedCoordinatorTest, OneAtATime) {
  ASSERT_OK_AND_ASSIGN(const auto first, Start(run_, job_));
  EXPECT_THAT(Start(run_, job_).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(run_ + "/coordinator")));
  EXPECT_EQ(Get(run_, 1).state(), proto::LAUNCHING);
}

TEST_F(EmbeddedCoordinatorTest, AnInterruptedJobGoesOnAsItself) {
  {
    ASSERT_OK_AND_ASSIGN(const auto first, Start(run_, job_));
    Tune(run_, 1, 0.625);
    first->End(absl::CancelledError("saved"));
    EXPECT_EQ(Get(run_, 1).reason(), "cancelled by an interrupt");
  }
  ASSERT_OK_AND_ASSIGN(const auto second, Start(run_, job_));
  EXPECT_EQ(second->gang(), (GangId{1, 2}));
  EXPECT_EQ(Get(run_, 1).tuned_drop_probability(), 0.625);
  second->End(absl::OkStatus());
  EXPECT_EQ(Get(run_, 1).state(), proto::SUCCEEDED);
}

// What a killed process leaves is what there is at any moment.
TEST_F(EmbeddedCoordinatorTest, AKilledOneGoesOnToo) {
  const std::string killed = folder_.File("killed");
  {
    ASSERT_OK_AND_ASSIGN(const auto first, Start(run_, job_));
    for (const char* name : {"coordinator.sqlite", "coordinator.sqlite-wal",
                             "gangs", "jobs", "endpoint.json"}) {
      std::filesystem::create_directories(killed + "/coordinator");
      std::filesystem::copy(absl::StrCat(run_, "/coordinator/", name),
                            absl::StrCat(killed, "/coordinator/", name),
                            std::filesystem::copy_options::recursive);
    }
  }
  ASSERT_OK_AND_ASSIGN(const auto second, Start(killed, job_));
  EXPECT_EQ(second->gang(), (GangId{1, 2}));
  EXPECT_EQ(Get(killed, 1).gangs(), 2);
}

TEST_F(EmbeddedCoordinatorTest, OtherSettingsAreAnotherJobAsTuned) {
  {
    ASSERT_OK_AND_ASSIGN(const auto first, Start(run_, job_));
    Tune(run_, 1, 0.25);
    first->End(absl::ResourceExhaustedError("no space"));
    EXPECT_EQ(Get(run_, 1).state(), proto::FAILED);
    EXPECT_EQ(Get(run_, 1).reason(), "no space");
  }
  {
    ASSERT_OK_AND_ASSIGN(const auto other,
                         Start(run_, JobOf("evaluation { rows: 0 }")));
    EXPECT_EQ(other->gang(), (GangId{2, 1}));
    EXPECT_EQ(Get(run_, 2).tuned_drop_probability(), 0.25);
    // The first one is this process's no more, nor any other's.
    grpc::ClientContext context;
    proto::ResumeJobRequest request;
    request.set_id(1);
    proto::ResumeJobResponse response;
    const grpc::Status resumed =
        Jobs(run_)->Resume(&context, request, &response);
    EXPECT_EQ(resumed.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(resumed.error_message(),
                HasSubstr("same command and --resume"));
    EXPECT_EQ(Get(run_, 1).state(), proto::FAILED);
    EXPECT_FALSE(Get(run_, 1).resumable());
    other->End(absl::OkStatus());
  }
  // Its report once more.
  ASSERT_OK_AND_ASSIGN(const auto again,
                       Start(run_, JobOf("evaluation { rows: 0 }")));
  EXPECT_EQ(again->gang(), (GangId{3, 1}));
}

TEST_F(EmbeddedCoordinatorTest, ThePageIsOnTheLoopbackIfAskedFor) {
  ASSERT_OK_AND_ASSIGN(const auto coordinator,
                       Start(run_, job_, /*page=*/true));
  EXPECT_THAT(coordinator->page(), StartsWith("127.0.0.1:"));
  // Whom it knows by its token alone: others on this machine reach it, too.
  httplib::Client page("http://" + coordinator->page());
  EXPECT_EQ(page.Get("/")->status, 200);
  httplib::Headers headers = {{"X-Caracal-Request", "test"}};
  const std::string cancel =
      absl::StrCat("/api/jobs/", coordinator->gang().job, "/cancel");
  EXPECT_EQ(page.Get("/api/jobs")->status, 401);
  EXPECT_EQ(page.Post(cancel, headers, "{}", "application/json")->status, 401);
  headers.emplace("Authorization", "Bearer " + coordinator->page_token());
  EXPECT_EQ(page.Get("/api/jobs", headers)->status, 200);
  EXPECT_EQ(page.Post(cancel, headers, "{}", "application/json")->status, 200);
}

TEST_F(EmbeddedCoordinatorTest, AFolderThatCannotBeMadeIsNamed) {
  ASSERT_OK(FileSystem::Posix()->Append(run_, "a file"));
  const absl::Status status = Start(run_, job_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(run_));
}

}  // namespace
}  // namespace caracal
