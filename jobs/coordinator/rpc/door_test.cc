// The services behind their door, through a channel in this process.
#include "jobs/coordinator/rpc/door.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/rpc/checkpoints_service.h"
#include "jobs/coordinator/rpc/evaluations_service.h"
#include "jobs/coordinator/rpc/gangs_service.h"
#include "jobs/coordinator/rpc/jobs_service.h"
#include "jobs/coordinator/rpc/testing/raw_call.h"
#include "jobs/coordinator/rpc/testing/test_door.h"
#include "jobs/coordinator/rpc/tokens_service.h"
#include "jobs/coordinator/store/token_table.h"

namespace caracal {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

constexpr double kRate = 50;

class DoorTest : public ::testing::Test {
 protected:
  DoorTest() {
    auto audit =
        AuditLog::Open(audit_path(), {.refusals_per_second = 0}, Clock::Real());
    CARACAL_CHECK_OK(audit.status());
    audit_ = *std::move(audit);
    door_.emplace(kRate, audit_.get());
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(CoordinatorLimits(), store_.get(), Clock::Real(),
                         &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
    jobs_.emplace(
        JobsServiceOptions{.runs = "/runs"}, &*coordinator_, &hub_,
        [](JobId, uint64_t) { return ""; }, &files_, &door_->door);
    gangs_.emplace(
        &*coordinator_,
        [](const GangId&) -> absl::StatusOr<std::string> { return "secret"; },
        &door_->door);
    tokens_.emplace(&*coordinator_, &door_->tokens, &door_->clock,
                    &door_->door);
    evaluations_.emplace(EvaluationLimits(), &*coordinator_, Clock::Real());
    evaluations_service_.emplace(&*evaluations_, PathRoots(), &door_->door);
    checkpoints_.emplace([](JobId) { return std::string("/runs/1"); },
                         &*coordinator_, FileSystem::Posix(), &door_->door);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*jobs_);
    builder.RegisterService(&*gangs_);
    builder.RegisterService(&*tokens_);
    builder.RegisterService(&*evaluations_service_);
    builder.RegisterService(&*checkpoints_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
  }
  ~DoorTest() override { server_->Shutdown(); }

  std::string audit_path() { return folder_.File("audit.jsonl"); }
  std::string Audit() { return *FileSystem::Posix()->ReadFile(audit_path()); }

  template <typename Request>
  grpc::Status Call(const std::string& method, const Request& request,
                    const std::string& token) {
    return CallRaw(channel_, "/caracal.proto." + method,
                   request.SerializeAsString(), token);
  }
  grpc::Status Create(const std::string& name, const std::string& role,
                      const std::string& token = "") {
    proto::CreateTokenRequest request;
    request.set_name(name);
    request.set_role(role);
    return Call("Tokens/Create", request, token);
  }

  TemporaryFolder folder_;
  std::unique_ptr<AuditLog> audit_;
  std::optional<TestDoor> door_;
  NoOutput output_;
  EventHub hub_;
  RootedFileSystem files_{{}, FileSystem::Posix()};
  std::unique_ptr<JobStore> store_;
  std::optional<Evaluations> evaluations_;
  std::optional<Coordinator> coordinator_;
  std::optional<JobsService> jobs_;
  std::optional<GangsService> gangs_;
  std::optional<TokensService> tokens_;
  std::optional<EvaluationsService> evaluations_service_;
  std::optional<CheckpointsService> checkpoints_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// Whatever is added later, too.
TEST_F(DoorTest, NoMethodAnswersWithoutCredentials) {
  const std::string admin = door_->Add("ann", Role::kAdmin);
  const std::string viewer = door_->Add("bob", Role::kViewer);
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const auto* file : {proto::SubmitRequest::descriptor()->file(),
                           proto::EvaluationSpec::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      services.push_back(file->service(i));
    }
  }
  int methods = 0;
  for (const auto* service : services) {
    for (int k = 0; k < service->method_count(); ++k) {
      const std::string method = absl::StrCat("/", service->full_name(), "/",
                                              service->method(k)->name());
      ++methods;
      door_->clock.Advance(absl::Seconds(1));  // rates are another test's
      if (service->name() == "Gangs") {
        // Being an admin is no help.
        for (const std::string& token : {std::string(), admin}) {
          EXPECT_EQ(CallRaw(channel_, method, "", token).error_code(),
                    StatusCode::PERMISSION_DENIED)
              << method;
        }
        continue;
      }
      for (const char* token : {"", "caracal_wrong"}) {
        EXPECT_EQ(CallRaw(channel_, method, "", token).error_code(),
                  StatusCode::UNAUTHENTICATED)
            << method;
      }
      const MethodRule* rule = FindMethodRule(
          absl::StrCat(service->name(), ".", service->method(k)->name()));
      ASSERT_NE(rule, nullptr);
      if (*rule->needed > Role::kViewer) {
        EXPECT_EQ(CallRaw(channel_, method, "", viewer).error_code(),
                  StatusCode::PERMISSION_DENIED)
            << method;
      }
    }
  }
  EXPECT_GE(methods, 26);
  EXPECT_TRUE(door_->tokens.Of("ann", door_->clock.WallTime()).has_value());
}

TEST_F(DoorTest, JobsAreChangedByOwnersAndAdmins) {
  const std::string ann = door_->Add("ann", Role::kAdmin);
  const std::string bob = door_->Add("bob", Role::kSubmitter);
  const std::string eve = door_->Add("eve", Role::kSubmitter);
  absl::Notification done;
  coordinator_->Submit({.name = "x", .owner = "bob", .slots = 1},
                       [&](const absl::StatusOr<JobId>& id) {
                         CARACAL_CHECK(id.ok() && *id == 1) << "job 1";
                         done.Notify();
                       });
  done.WaitForNotification();
  proto::SetPriorityRequest request;
  request.set_id(1);
  const auto priority = [&](const std::string& token) {
    return Call("Jobs/SetPriority", request, token);
  };
  for (const char* method : {"Jobs/Cancel", "Jobs/Resume", "Jobs/Remove",
                             "Jobs/SetPriority", "Jobs/Tune"}) {
    const grpc::Status status = Call(method, request, eve);
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << method;
    EXPECT_THAT(status.error_message(), HasSubstr("bob's"));
  }
  EXPECT_TRUE(priority(bob).ok());
  EXPECT_TRUE(priority(ann).ok());
  request.set_id(7);
  EXPECT_EQ(priority(eve).error_code(), StatusCode::NOT_FOUND);
  EXPECT_THAT(Audit(), HasSubstr("\"caller\":\"eve\",\"role\":\"submitter\""));
  EXPECT_THAT(Audit(), HasSubstr("\"method\":\"Jobs.Cancel\",\"outcome\":"
                                 "\"PERMISSION_DENIED\",\"job\":1"));
}

TEST_F(DoorTest, TokensAreMadeUsedAndRevoked) {
  // Open, until there is one.
  EXPECT_EQ(Create("bob", "viewer").error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Create("bob", "root").error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Create("<b>", "admin").error_code(), StatusCode::INVALID_ARGUMENT);
  const auto stub = proto::Tokens::NewStub(channel_);
  proto::CreateTokenRequest request;
  request.set_name("ann");
  request.set_role("admin");
  proto::CreateTokenResponse response;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Create(&context, request, &response).ok());
  }
  const std::string ann = response.token();
  EXPECT_EQ(Create("bob", "viewer").error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Create("ann", "viewer", ann).error_code(),
            StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(Create("bob", "viewer", ann).ok());
  // Asked again for want of an answer it is one token, and the last one holds.
  request.set_name("eve");
  request.set_idempotency_key("k");
  std::string first;
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + ann);
    first = std::exchange(*response.mutable_token(), "");
    ASSERT_TRUE(stub->Create(&context, request, &response).ok());
  }
  EXPECT_NE(response.token(), first);
  EXPECT_EQ(Call("Tokens/List", proto::ListTokensRequest(), first).error_code(),
            StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call("Tokens/List", proto::ListTokensRequest(), response.token())
                .error_code(),
            StatusCode::OK);
  // Once it was used somebody has it.
  EXPECT_EQ(Call("Tokens/Create", request, ann).error_code(),
            StatusCode::ALREADY_EXISTS);
  request.set_idempotency_key(std::string(129, 'k'));
  EXPECT_EQ(Call("Tokens/Create", request, ann).error_code(),
            StatusCode::INVALID_ARGUMENT);
  proto::RevokeTokenRequest revoke;
  revoke.set_name("bob");
  EXPECT_TRUE(Call("Tokens/Revoke", revoke, ann).ok());
  EXPECT_EQ(Call("Tokens/Revoke", revoke, ann).error_code(),
            StatusCode::NOT_FOUND);
  // That call again, which comes late, leaves a new one alone.
  revoke.set_idempotency_key("r");
  EXPECT_TRUE(Create("bob", "viewer", ann).ok());
  EXPECT_TRUE(Call("Tokens/Revoke", revoke, ann).ok());
  EXPECT_TRUE(Create("bob", "viewer", ann).ok());
  EXPECT_TRUE(Call("Tokens/Revoke", revoke, ann).ok());
  EXPECT_TRUE(door_->tokens.Of("bob", door_->clock.WallTime()).has_value());
  revoke.set_name("eve");
  EXPECT_EQ(Call("Tokens/Revoke", revoke, ann).error_code(),
            StatusCode::ALREADY_EXISTS);
  proto::ListTokensResponse list;
  {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + ann);
    ASSERT_TRUE(stub->List(&context, {}, &list).ok());
  }
  ASSERT_EQ(list.tokens_size(), 5);
  EXPECT_EQ(list.tokens(0).created_by(), "local");
  EXPECT_TRUE(list.tokens(0).has_last_used());
  EXPECT_EQ(list.tokens(1).created_by(), "ann");
  EXPECT_TRUE(list.tokens(1).has_revoked());
  EXPECT_THAT(list.ShortDebugString(), Not(HasSubstr("caracal_")));
  EXPECT_THAT(Audit(), Not(HasSubstr("caracal_")));
  EXPECT_THAT(Audit(), HasSubstr("\"subject\":\"bob\""));
  // Two tokens shown at once are none.
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + ann);
  context.AddMetadata("authorization", "Bearer " + ann);
  EXPECT_EQ(stub->List(&context, {}, &list).error_code(),
            StatusCode::UNAUTHENTICATED);
}

TEST_F(DoorTest, TheLastAdminStaysUnlessItIsForced) {
  proto::CreateTokenRequest create;
  create.set_name("ann");
  create.set_role("admin");
  proto::CreateTokenResponse created;
  grpc::ClientContext context;
  ASSERT_TRUE(proto::Tokens::NewStub(channel_)
                  ->Create(&context, create, &created)
                  .ok());
  const std::string ann = created.token();
  ASSERT_TRUE(Create("bob", "admin", ann).ok());
  proto::RevokeTokenRequest revoke;
  revoke.set_name("bob");
  EXPECT_TRUE(Call("Tokens/Revoke", revoke, ann).ok());
  revoke.set_name("ann");
  const grpc::Status refused = Call("Tokens/Revoke", revoke, ann);
  EXPECT_EQ(refused.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(), HasSubstr("the last token of an admin"));
  revoke.set_force(true);
  EXPECT_TRUE(Call("Tokens/Revoke", revoke, ann).ok());
  EXPECT_EQ(Call("Tokens/Revoke", revoke, ann).error_code(),
            StatusCode::UNAUTHENTICATED);
}

TEST_F(DoorTest, WhoCallsTooOftenIsToldWhenToCallAgain) {
  const std::string ann = door_->Add("ann", Role::kAdmin);
  const std::string bob = door_->Add("bob", Role::kAdmin);
  const auto stub = proto::Jobs::NewStub(channel_);
  grpc::Status status;
  std::string wait;
  int calls = 0;
  for (; status.ok() && calls < 1000; ++calls) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + ann);
    proto::ListJobsResponse response;
    status = stub->List(&context, {}, &response);
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto found = trailers.find("grpc-retry-pushback-ms");
    if (found != trailers.end()) {
      wait.assign(found->second.data(), found->second.size());
    }
  }
  EXPECT_EQ(calls, 2 * kRate + 1);
  EXPECT_EQ(status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(wait, "20");
  // That is hers alone.
  EXPECT_TRUE(Call("Jobs/List", proto::ListJobsRequest(), bob).ok());
  door_->clock.Advance(absl::Milliseconds(20));
  EXPECT_TRUE(Call("Jobs/List", proto::ListJobsRequest(), ann).ok());
}

}  // namespace
}  // namespace caracal
