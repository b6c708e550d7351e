// What a gang does while its coordinator is away; how one directs it, with real
// gangs, tests/service:curriculum_test has.
#include "jobs/worker/directed_curriculum.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_matchers.h"
#include "jobs/spec/job_file.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

proto::Job TheJob(const std::string& when_away) {
  std::vector<Problem> problems;
  const auto job = LoadJobText(
      R"(preset: "ssd" model { path: "/m" } data { path: "/d" }
         budget { transfer_steps: 1 finetune_steps: 600 }
         curriculum { drop { linear { from: 0.9 to: 0.1 } } when_away: )" +
          when_away + "}",
      "job", "/", {}, nullptr, nullptr, &problems);
  EXPECT_OK(job);
  return *job;
}

// A coordinator whose store fails: it answers nothing but that it is there.
class FullDisk final : public proto::Gangs::Service {
 public:
  explicit FullDisk(uint64_t tunings) : tunings_(tunings) {}
  grpc::Status Register(grpc::ServerContext*, const proto::RegisterRequest*,
                        proto::RegisterResponse* response) override {
    response->set_tunings(tunings_);
    return grpc::Status::OK;
  }
  grpc::Status Heartbeat(grpc::ServerContext*, const proto::HeartbeatRequest*,
                         proto::HeartbeatResponse* response) override {
    response->set_tunings(tunings_);
    return grpc::Status::OK;
  }
  grpc::Status Direct(grpc::ServerContext*, const proto::DirectRequest*,
                      proto::DirectResponse*) override {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "the disk is full");
  }

 private:
  const uint64_t tunings_;
};

class DirectedCurriculumTest : public ::testing::Test {
 protected:
  void Open(uint64_t tunings) {
    gangs_ = std::make_unique<FullDisk>(tunings);
    grpc::ServerBuilder builder;
    builder.RegisterService(gangs_.get());
    server_ = builder.BuildAndStart();
    CoordinatorLinkOptions options;
    options.gang = {1, 1};
    options.channel = server_->InProcessChannel(grpc::ChannelArguments());
    options.interval = absl::Milliseconds(5);
    options.stop = [] {};
    options.fenced = [](const std::string& why) { ADD_FAILURE() << why; };
    options.tell = [](const std::string&) {};
    link_ = std::make_unique<CoordinatorLink>(std::move(options));
    const absl::Time end = absl::Now() + absl::Seconds(60);
    while (link_->tunings() != tunings && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    ASSERT_EQ(link_->tunings(), tunings);
  }
  DirectedCurriculum Directed(const proto::Job& job,
                              CurriculumSource* otherwise) {
    return DirectedCurriculum(
        {.job = &job,
         .link = link_.get(),
         .stop = &stop_,
         .tell = [this](const std::string& line) { told_.push_back(line); },
         .try_again = absl::Milliseconds(1),
         .otherwise = otherwise});
  }

  std::unique_ptr<FullDisk> gangs_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<CoordinatorLink> link_;
  std::atomic<bool> stop_{false};
  std::vector<std::string> told_;
};

TEST_F(DirectedCurriculumTest, WhereNobodyTunedTheJobItselfSaysTheSame) {
  Open(/*tunings=*/0);
  const proto::Job job = TheJob("PAUSE");
  OwnCurriculum own(&job);
  DirectedCurriculum directed = Directed(job, &own);
  for (const int64_t step : {0, 256, 599}) {
    const CurriculumPoint point = {.stage = 1, .step = step};
    ASSERT_OK_AND_ASSIGN(const CurriculumAnswer expected, own.Direct(point));
    ASSERT_OK_AND_ASSIGN(const CurriculumAnswer answer, directed.Direct(point));
    EXPECT_FALSE(answer.held);
    EXPECT_EQ(answer.window.directives, expected.window.directives);
  }
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(DirectedCurriculumTest, WhatSomebodyTunedIsWaitedFor) {
  Open(/*tunings=*/1);
  const proto::Job job = TheJob("PAUSE");
  OwnCurriculum own(&job);
  DirectedCurriculum directed = Directed(job, &own);
  stop_ = true;
  EXPECT_THAT(directed.Direct({.stage = 1, .step = 256}).status(),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("waiting")));
  EXPECT_THAT(told_, ElementsAre(HasSubstr("training waits for it")));
}

TEST_F(DirectedCurriculumTest, WithoutTheJobsOwnItIsWaitedFor) {
  Open(/*tunings=*/0);
  const proto::Job job = TheJob("HOLD");
  DirectedCurriculum directed = Directed(job, nullptr);
  stop_ = true;
  EXPECT_THAT(directed.Direct({.stage = 1, .step = 0}).status(),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("waiting")));
}

}  // namespace
}  // namespace caracal
