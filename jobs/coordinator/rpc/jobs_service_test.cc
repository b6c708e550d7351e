// Through a channel in this process, as any client would.
#include "jobs/coordinator/rpc/jobs_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/testing/tiny_model.h"
#include "proto/rpc_error.pb.h"

namespace caracal {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EventsOnly : public CoordinatorOutput {
 public:
  explicit EventsOnly(EventHub* hub) : hub_(hub) {}
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>& events) override {
    hub_->Happened(events);
  }

 private:
  EventHub* const hub_;
};

class JobsServiceTest : public ::testing::Test {
 protected:
  JobsServiceTest() {
    CARACAL_CHECK_OK(WriteTinyModel(folder_.File("model")));
    CARACAL_CHECK_OK(WriteTinyData(folder_.File("train.h5"), 10, 48));
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(CoordinatorLimits{.slots = 2}, store_.get(),
                         Clock::Real(), &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
    hub_.SetReader([this](auto... arguments) {
      coordinator_->Events(std::move(arguments)...);
    });
    service_.emplace(
        JobsServiceOptions{.runs = "/runs", .slots = 2}, &*coordinator_, &hub_,
        [this](JobId job, uint64_t epoch) {
          return folder_.File(absl::StrCat("log-", job, "-", epoch));
        },
        FileSystem::Posix());
    grpc::ServerBuilder builder;
    builder.RegisterService(&*service_);
    server_ = builder.BuildAndStart();
    stub_ = proto::Jobs::NewStub(
        server_->InProcessChannel(grpc::ChannelArguments()));
  }
  ~JobsServiceTest() override { server_->Shutdown(); }

  std::string Job(const std::string& more = "") {
    return absl::StrCat(
        "name: \"tiny\" preset: \"lolcats\" model { path: \"",
        folder_.File("model"), "\" } data { path: \"", folder_.File("train.h5"),
        "\" } attention { window: 8 features: 32 } budget { transfer_steps: 2 "
        "finetune_steps: 1 batch: 2 } ",
        more);
  }
  grpc::Status Submit(const proto::SubmitRequest& request, JobId* id) {
    grpc::ClientContext context;
    proto::SubmitResponse response;
    const grpc::Status status = stub_->Submit(&context, request, &response);
    *id = response.id();
    return status;
  }
  JobId Submitted(const std::string& job, const std::string& key = "") {
    proto::SubmitRequest request;
    request.set_job(job);
    request.set_idempotency_key(key);
    JobId id = 0;
    const grpc::Status status = Submit(request, &id);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return id;
  }
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (proto::Jobs::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (*stub_.*method)(&context, request, response);
  }
  proto::JobInfo Get(JobId id) {
    proto::GetJobRequest request;
    request.set_id(id);
    proto::JobInfo job;
    EXPECT_TRUE(Call(&proto::Jobs::Stub::Get, request, &job).ok());
    return job;
  }

  TemporaryFolder folder_;
  EventHub hub_;
  EventsOnly output_{&hub_};
  std::unique_ptr<JobStore> store_;
  std::optional<Coordinator> coordinator_;
  std::optional<JobsService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<proto::Jobs::Stub> stub_;
};

TEST_F(JobsServiceTest, AJobIsTakenInAndShown) {
  const JobId id = Submitted(Job("parallel { data: 2 }"), "k");
  const proto::JobInfo job = Get(id);
  EXPECT_EQ(job.name(), "tiny");
  EXPECT_EQ(job.state(), proto::LAUNCHING);
  EXPECT_EQ(job.slots(), 2);
  EXPECT_EQ(job.run_folder(), "/runs/1");
  EXPECT_THAT(job.job(), HasSubstr("stages {"));
  EXPECT_GT(job.submitted().seconds(), 1'700'000'000);
  EXPECT_FALSE(job.has_not_before());
  EXPECT_EQ(Submitted(Job("parallel { data: 2 }"), "k"), id);
}

TEST_F(JobsServiceTest, EveryProblemOfAJobIsToldWithItsField) {
  proto::SubmitRequest request;
  request.set_job(
      Job("lora { rank: -1 } seed: 1 parallel { tensor: 7 } "
          "optimizer { beta1: 2 }"));
  JobId id;
  const grpc::Status status = Submit(request, &id);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("optimizer.beta1"));
  google::rpc::Status whole;
  ASSERT_TRUE(whole.ParseFromString(status.error_details()));
  google::rpc::BadRequest details;
  ASSERT_EQ(whole.details_size(), 1);
  EXPECT_EQ(whole.details(0).type_url(),
            "type.googleapis.com/google.rpc.BadRequest");
  ASSERT_TRUE(whole.details(0).UnpackTo(&details));
  std::vector<std::string> fields;
  for (const auto& violation : details.field_violations()) {
    fields.push_back(violation.field());
    EXPECT_NE(violation.description(), "");
  }
  EXPECT_THAT(fields,
              ::testing::IsSupersetOf({"lora.rank", "optimizer.beta1"}));
  // What only the model tells.
  request.set_job(Job("parallel { tensor: 7 }"));
  EXPECT_THAT(Submit(request, &id).error_message(),
              HasSubstr("parallel.tensor: is 7"));
  request.set_job("name: 7 {");
  EXPECT_EQ(Submit(request, &id).error_code(), StatusCode::INVALID_ARGUMENT);
  request.set_job(Job("parallel { data: 2 tensor: 2 }"));
  EXPECT_THAT(Submit(request, &id).error_message(), HasSubstr("2 slots"));
  request.set_job(Job());
  request.set_idempotency_key(std::string(129, 'k'));
  EXPECT_THAT(Submit(request, &id).error_message(), HasSubstr("129 bytes"));
  EXPECT_TRUE(coordinator_->List({}, 0, 10).jobs.empty());
}

TEST_F(JobsServiceTest, JobsAreListedInPages) {
  for (int i = 0; i < 5; ++i) Submitted(Job());
  proto::ListJobsRequest request;
  request.set_page_size(2);
  std::vector<JobId> ids;
  do {
    proto::ListJobsResponse response;
    ASSERT_TRUE(Call(&proto::Jobs::Stub::List, request, &response).ok());
    for (const proto::JobInfo& job : response.jobs()) {
      ids.push_back(job.id());
      EXPECT_EQ(job.job(), "");
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre(5, 4, 3, 2, 1));
  request.set_state(proto::QUEUED);
  proto::ListJobsResponse response;
  ASSERT_TRUE(Call(&proto::Jobs::Stub::List, request, &response).ok());
  EXPECT_EQ(response.jobs_size(), 2);
  for (const char* token : {"x", "0", "-1"}) {
    request.set_page_token(token);
    EXPECT_EQ(Call(&proto::Jobs::Stub::List, request, &response).error_code(),
              StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(JobsServiceTest, JobsAreChanged) {
  const JobId id = Submitted(Job("parallel { data: 2 }"));
  const JobId waiting = Submitted(Job());
  proto::SetPriorityRequest priority;
  priority.set_id(waiting);
  priority.set_priority(3);
  proto::SetPriorityResponse no_priority;
  EXPECT_TRUE(
      Call(&proto::Jobs::Stub::SetPriority, priority, &no_priority).ok());
  EXPECT_EQ(Get(waiting).priority(), 3);
  const auto cancel = [&](JobId job) {
    proto::CancelJobRequest request;
    request.set_id(job);
    proto::CancelJobResponse response;
    return Call(&proto::Jobs::Stub::Cancel, request, &response);
  };
  EXPECT_TRUE(cancel(id).ok());
  EXPECT_EQ(Get(id).state(), proto::CANCELLING);
  EXPECT_TRUE(cancel(waiting).ok());
  EXPECT_EQ(Get(waiting).state(), proto::CANCELLED);
  EXPECT_EQ(cancel(99).error_code(), StatusCode::NOT_FOUND);
  proto::ResumeJobRequest resume;
  resume.set_id(waiting);
  proto::ResumeJobResponse no_resume;
  EXPECT_TRUE(Call(&proto::Jobs::Stub::Resume, resume, &no_resume).ok());
  EXPECT_EQ(Get(waiting).state(), proto::QUEUED);
  proto::RemoveJobRequest remove;
  remove.set_id(waiting);
  proto::RemoveJobResponse no_remove;
  EXPECT_EQ(Call(&proto::Jobs::Stub::Remove, remove, &no_remove).error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(cancel(waiting).ok());
  EXPECT_TRUE(Call(&proto::Jobs::Stub::Remove, remove, &no_remove).ok());
  EXPECT_FALSE(coordinator_->Get(waiting).has_value());
}

TEST_F(JobsServiceTest, ItTellsWhereItsPageIs) {
  proto::ServerInfo info;
  ASSERT_TRUE(
      Call(&proto::Jobs::Stub::Info, proto::ServerInfoRequest(), &info).ok());
  EXPECT_EQ(info.web(), "");
  EXPECT_NE(info.version(), "");
  service_->SetWeb("127.0.0.1:7");
  ASSERT_TRUE(
      Call(&proto::Jobs::Stub::Info, proto::ServerInfoRequest(), &info).ok());
  EXPECT_EQ(info.web(), "127.0.0.1:7");
}

}  // namespace
}  // namespace caracal
