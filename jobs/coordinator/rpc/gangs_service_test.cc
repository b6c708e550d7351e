// Through a channel in this process, as rank 0 would.
#include "jobs/coordinator/rpc/gangs_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/rpc/testing/test_door.h"

namespace caracal {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

class GangsServiceTest : public ::testing::Test {
 protected:
  GangsServiceTest() {
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(CoordinatorLimits(), store_.get(), Clock::Real(),
                         &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
    service_.emplace(
        &*coordinator_,
        [this](const GangId& id) -> absl::StatusOr<std::string> {
          ++looked_up_;
          if (id.job != 1) return absl::NotFoundError("no folder");
          return absl::StrCat("secret ", id.epoch);
        },
        &door_.door);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*service_);
    server_ = builder.BuildAndStart();
    stub_ = proto::Gangs::NewStub(
        server_->InProcessChannel(grpc::ChannelArguments()));
    absl::Notification submitted;
    coordinator_->Submit({.name = "one"}, [&](absl::StatusOr<JobId> id) {
      CARACAL_CHECK(id.ok() && *id == 1) << "job 1";
      submitted.Notify();
    });
    submitted.WaitForNotification();
  }
  ~GangsServiceTest() override { server_->Shutdown(); }

  static proto::HeartbeatRequest Beat(const std::string& credential) {
    proto::HeartbeatRequest request;
    request.set_job(1);
    request.set_epoch(1);
    request.set_credential(credential);
    return request;
  }
  grpc::Status Send(const proto::HeartbeatRequest& request) {
    grpc::ClientContext context;
    return stub_->Heartbeat(&context, request, &response_);
  }
  grpc::Status Register(JobId job, uint64_t epoch,
                        const std::string& credential,
                        const std::vector<std::string>& hosts = {}) {
    proto::RegisterRequest request;
    for (const std::string& host : hosts) request.add_hosts(host);
    request.set_job(job);
    request.set_epoch(epoch);
    request.set_credential(credential);
    proto::RegisterResponse response;
    grpc::ClientContext context;
    return stub_->Register(&context, request, &response);
  }

  TestDoor door_;
  TemporaryFolder folder_;
  NoOutput output_;
  std::unique_ptr<JobStore> store_;
  std::optional<Coordinator> coordinator_;
  std::optional<GangsService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<proto::Gangs::Stub> stub_;
  proto::HeartbeatResponse response_;
  int looked_up_ = 0;
};

TEST_F(GangsServiceTest, AGangRegistersAndReports) {
  EXPECT_TRUE(Register(1, 1, "secret 1").ok());
  EXPECT_EQ(coordinator_->Get(1)->state, JobState::kRunning);
  proto::HeartbeatRequest request = Beat("secret 1");
  request.mutable_progress()->set_stage("transfer");
  request.mutable_progress()->set_global_step(2);
  request.set_first_line(1);
  request.add_metrics("{\"loss\": 1.5}");
  request.add_metrics("{\"loss\": 1.25}");
  ASSERT_TRUE(Send(request).ok());
  EXPECT_FALSE(response_.stop());
  EXPECT_EQ(response_.lines(), 2);
  EXPECT_EQ(coordinator_->Get(1)->progress.global_step, 2);
  absl::Notification cancelled;
  coordinator_->Cancel(1, "ann", [&](absl::Status) { cancelled.Notify(); });
  cancelled.WaitForNotification();
  ASSERT_TRUE(Send(Beat("secret 1")).ok());
  EXPECT_TRUE(response_.stop());
  EXPECT_EQ(looked_up_, 1);
}

TEST_F(GangsServiceTest, AGangTellsWhereItsRanksAre) {
  EXPECT_EQ(Register(1, 1, "secret 1", {std::string(256, 'h')}).error_code(),
            StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(Register(1, 1, "secret 1", {"node1", "node1", "n\xc3\xb6"}).ok());
  EXPECT_THAT(coordinator_->Get(1)->hosts,
              ::testing::ElementsAre("node1", "node1", "n\xc3\xb6"));
  std::string told;
  absl::Notification done;
  coordinator_->Events(1, 0, 99, [&](const auto& events) {
    for (const StoredEvent& event : *events) {
      if (event.kind == "gang") told += event.data;
    }
    done.Notify();
  });
  done.WaitForNotification();
  EXPECT_EQ(told, "{\"gang\":1,\"hosts\":[\"node1\",\"node1\",\"n\xc3\xb6\"]}");
}

TEST_F(GangsServiceTest, OnlyAGangSpeaksForItself) {
  for (const char* credential : {"", "secret", "secret 2", "secret 1 "}) {
    const grpc::Status status = Send(Beat(credential));
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << credential;
    EXPECT_THAT(status.error_message(), HasSubstr("gang 1-1"));
  }
  EXPECT_EQ(Register(7, 1, "secret 1").error_code(),
            StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(coordinator_->Get(1)->state, JobState::kLaunching);
  // A right one that comes too late: fenced.
  EXPECT_EQ(Register(1, 2, "secret 2").error_code(), StatusCode::ABORTED);
}

TEST_F(GangsServiceTest, WhatIsNoReportIsRefused) {
  const auto refused = [&](const std::string& line) {
    proto::HeartbeatRequest request = Beat("secret 1");
    request.set_first_line(1);
    request.add_metrics(line);
    return Send(request);
  };
  EXPECT_EQ(refused("[1]").error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused("{\"a\": ").error_code(), StatusCode::DATA_LOSS);
  EXPECT_EQ(refused(absl::StrCat("{\"a\": \"", std::string(17000, 'x'), "\"}"))
                .error_code(),
            StatusCode::DATA_LOSS);
  proto::HeartbeatRequest request = Beat("secret 1");
  for (int i = 0; i < 2000; ++i) request.add_metrics("{}");
  request.set_first_line(1);
  EXPECT_EQ(Send(request).error_code(), StatusCode::INVALID_ARGUMENT);
  request = Beat("secret 1");
  request.mutable_progress()->set_stage(std::string(100, 's'));
  EXPECT_EQ(Send(request).error_code(), StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace caracal
