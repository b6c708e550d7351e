#include "jobs/coordinator/rpc/evaluations_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "core/base/file_system.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/rpc/checkpoints_service.h"
#include "jobs/coordinator/rpc/testing/test_door.h"
#include "jobs/coordinator/store/job_store.h"
#include "proto/rpc_error.pb.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using Stub = proto::Evaluations::Stub;

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

class EvaluationsServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(FileSystem::Posix()->CreateFolder(folder_.File("data")));
    ASSERT_OK(FileSystem::Posix()->CreateFolder(folder_.File("inside")));
    Start({});
  }
  void TearDown() override { Stop(); }

  // A coordinator on the folder as it is.
  void Start(const std::vector<std::string>& roots) {
    ASSERT_OK_AND_ASSIGN(store_, JobStore::Open(folder_.File("data")));
    coordinator_.emplace(CoordinatorLimits(), store_.get(), &door_.clock,
                         &output_);
    ASSERT_OK(coordinator_->Load());
    evaluations_.emplace(EvaluationLimits{.lease = absl::Seconds(10)},
                         &*coordinator_, &door_.clock);
    ASSERT_OK(evaluations_->Load(store_->database()));
    coordinator_->Recover();
    ASSERT_OK_AND_ASSIGN(PathRoots paths, PathRoots::Of(roots));
    service_.emplace(&*evaluations_, std::move(paths), &door_.door);
    checkpoints_.emplace(
        [this](JobId id) { return folder_.File(absl::StrCat("runs/", id)); },
        &*coordinator_, FileSystem::Posix(), &door_.door);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*service_);
    builder.RegisterService(&*checkpoints_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
  }
  void Stop() {
    server_->Shutdown();
    server_->Wait();
    server_ = nullptr;
    coordinator_.reset();
    store_ = nullptr;
  }

  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                 const Request&, Response*),
                    const Request& request, Response* response,
                    const std::string& token = "") {
    grpc::ClientContext context;
    if (!token.empty()) {
      context.AddMetadata("authorization", absl::StrCat("Bearer ", token));
    }
    return (Stub(channel_).*method)(&context, request, response);
  }

  proto::CreateEvaluationRequest Request() {
    proto::CreateEvaluationRequest request;
    request.mutable_spec()->set_model(folder_.File("inside/model"));
    request.mutable_spec()->set_data(folder_.File("inside/train.h5"));
    return request;
  }
  uint64_t Create(const std::string& token = "", const std::string& key = "") {
    proto::CreateEvaluationRequest request = Request();
    request.set_idempotency_key(key);
    proto::CreateEvaluationResponse response;
    const grpc::Status status = Call(&Stub::Create, request, &response, token);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.id();
  }
  proto::EvaluationInfo Get(uint64_t id) {
    proto::GetEvaluationRequest request;
    request.set_id(id);
    proto::EvaluationInfo info;
    EXPECT_TRUE(Call(&Stub::Get, request, &info).ok());
    return info;
  }
  proto::LeaseResponse Lease(uint64_t prefers = 0,
                             const std::string& token = "") {
    proto::LeaseRequest request;
    request.set_worker("w");
    request.set_version("1");
    request.set_prefers(prefers);
    proto::LeaseResponse response;
    const grpc::Status status = Call(&Stub::Lease, request, &response, token);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  template <typename R>
  static R Of(const proto::LeaseResponse& lease) {
    R request;
    request.set_evaluation(lease.evaluation());
    request.set_part(lease.part());
    request.set_lease(lease.lease());
    return request;
  }
  grpc::Status Complete(const proto::LeaseResponse& lease,
                        const proto::EvaluationPart& result) {
    auto request = Of<proto::CompleteRequest>(lease);
    *request.mutable_result() = result;
    proto::CompleteResponse response;
    return Call(&Stub::Complete, request, &response);
  }

  // Four rows of one pass, in two parts, and probes.
  static proto::EvaluationPart Plan() {
    proto::EvaluationPart part;
    proto::EvaluationPlan& plan = *part.mutable_plan();
    plan.set_version("1");
    plan.set_probes(true);
    proto::MeasurementPlan& m = *plan.mutable_measurement();
    m.mutable_settings()->set_layers(1);
    m.mutable_settings()->set_heads(1);
    m.add_gamma(0.1);
    m.set_rows(4);
    m.set_seq_len(8);
    m.set_micro_batch(2);
    m.set_bootstrap_samples(100);
    m.set_classes(1);
    m.add_passes()->add_same_as(0);
    for (const int begin : {0, 2}) {
      proto::MeasurementShard& shard = *plan.add_shards();
      shard.set_begin(begin);
      shard.set_end(begin + 2);
    }
    return part;
  }
  static proto::EvaluationPart Partial(int begin) {
    proto::EvaluationPart part;
    proto::MeasurementPartial& partial = *part.mutable_partial();
    partial.mutable_shard()->set_begin(begin);
    partial.mutable_shard()->set_end(begin + 2);
    for (int i = 0; i < 2; ++i) {
      partial.add_sum(0.1 * (begin + i));
      partial.add_count(8);
      partial.add_late_sum(0);
      partial.add_late_count(4);
    }
    return part;
  }
  static proto::EvaluationPart Probes() {
    proto::EvaluationPart part;
    part.set_probes("{}");
    return part;
  }
  // The parts that ReadParts gives, all pages of them.
  std::vector<proto::EvaluationPart> Parts(uint64_t id) {
    std::vector<proto::EvaluationPart> parts;
    proto::ReadPartsRequest request;
    request.set_id(id);
    proto::ReadPartsResponse page;
    do {
      request.set_from(page.next());
      page.Clear();
      EXPECT_TRUE(Call(&Stub::ReadParts, request, &page).ok());
      parts.insert(parts.end(), page.parts().begin(), page.parts().end());
    } while (page.next() != 0);
    return parts;
  }

  TemporaryFolder folder_;
  TestDoor door_;
  NoOutput output_;
  std::unique_ptr<JobStore> store_;
  std::optional<Evaluations> evaluations_;
  std::optional<Coordinator> coordinator_;
  std::optional<EvaluationsService> service_;
  std::optional<CheckpointsService> checkpoints_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(EvaluationsServiceTest, IsPlannedMeasuredAndRead) {
  const uint64_t id = Create("", "k");
  EXPECT_EQ(Create("", "k"), id);
  proto::EvaluationInfo info = Get(id);
  EXPECT_EQ(info.state(), proto::EVALUATION_PLANNING);
  EXPECT_EQ(info.owner(), "local");
  EXPECT_EQ(info.spec().data(), folder_.File("inside/train.h5"));

  const proto::LeaseResponse plan = Lease();
  EXPECT_EQ(plan.evaluation(), id);
  EXPECT_EQ(plan.part(), 0);
  EXPECT_EQ(plan.lease_ms(), 10'000);
  EXPECT_EQ(plan.spec().model(), folder_.File("inside/model"));
  EXPECT_EQ(Lease().evaluation(), 0);
  ASSERT_TRUE(Complete(plan, Plan()).ok());

  // Whoever has the plan is not sent it again.
  const proto::LeaseResponse one = Lease(id);
  EXPECT_EQ(one.part(), 1);
  EXPECT_FALSE(one.has_spec());
  EXPECT_FALSE(one.has_plan());
  const proto::LeaseResponse two = Lease();
  EXPECT_EQ(two.part(), 2);
  EXPECT_TRUE(two.has_spec());
  EXPECT_EQ(two.plan().shards_size(), 2);
  const proto::LeaseResponse probes = Lease(id);
  EXPECT_EQ(probes.part(), 3);

  // Another part's, or of another kind.
  EXPECT_EQ(Complete(one, Partial(2)).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Complete(one, Probes()).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Complete(probes, Partial(2)).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Complete(one, Plan()).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);

  ASSERT_TRUE(Complete(two, Partial(2)).ok());
  info = Get(id);
  EXPECT_EQ(info.state(), proto::EVALUATION_MEASURING);
  EXPECT_EQ(info.parts(), 4);
  EXPECT_EQ(info.done(), 2);
  EXPECT_EQ(info.leased(), 2);
  proto::ReadPartsRequest read;
  read.set_id(id);
  proto::ReadPartsResponse page;
  EXPECT_EQ(Call(&Stub::ReadParts, read, &page).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);

  // Nothing is lost by a coordinator that begins anew.
  Stop();
  Start({});
  ASSERT_TRUE(Complete(one, Partial(0)).ok());
  ASSERT_TRUE(Complete(one, Partial(0)).ok());
  ASSERT_TRUE(Complete(probes, Probes()).ok());
  EXPECT_EQ(Get(id).state(), proto::EVALUATION_SUCCEEDED);
  const std::vector<proto::EvaluationPart> parts = Parts(id);
  ASSERT_EQ(parts.size(), 4);
  EXPECT_EQ(parts[0].SerializeAsString(), Plan().SerializeAsString());
  EXPECT_EQ(parts[1].SerializeAsString(), Partial(0).SerializeAsString());
  EXPECT_EQ(parts[2].SerializeAsString(), Partial(2).SerializeAsString());
  EXPECT_EQ(parts[3].SerializeAsString(), Probes().SerializeAsString());
}

TEST_F(EvaluationsServiceTest, APlanThatIsTooLargeForWorkersIsRefused) {
  Create();
  const proto::LeaseResponse lease = Lease();
  proto::EvaluationPart parts = Plan();
  for (int i = 0; i < 20'000; ++i) {
    *parts.mutable_plan()->add_shards() = parts.plan().shards(0);
  }
  grpc::Status status = Complete(lease, parts);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("--part-rows"));
  proto::EvaluationPart bytes = Plan();
  bytes.mutable_plan()->add_warnings(std::string((4 << 20) - (64 << 10), 'w'));
  status = Complete(lease, bytes);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("--rows"));
  EXPECT_TRUE(Complete(lease, Plan()).ok());
}

TEST_F(EvaluationsServiceTest, ALateWorkerIsRefused) {
  const uint64_t id = Create();
  const proto::LeaseResponse late = Lease();
  door_.clock.Advance(absl::Seconds(9));
  proto::RenewResponse renewed;
  EXPECT_TRUE(Call(&Stub::Renew, Of<proto::RenewRequest>(late), &renewed).ok());
  door_.clock.Advance(absl::Seconds(10));
  EXPECT_EQ(
      Call(&Stub::Renew, Of<proto::RenewRequest>(late), &renewed).error_code(),
      grpc::StatusCode::ABORTED);
  const proto::LeaseResponse next = Lease();
  EXPECT_EQ(next.lease(), late.lease() + 1);
  EXPECT_EQ(Complete(late, Plan()).error_code(), grpc::StatusCode::ABORTED);

  auto fail = Of<proto::FailRequest>(next);
  fail.set_for_good(true);
  fail.set_message("no such model");
  proto::FailResponse failed;
  ASSERT_TRUE(Call(&Stub::Fail, fail, &failed).ok());
  EXPECT_EQ(Get(id).state(), proto::EVALUATION_FAILED);
  EXPECT_EQ(Get(id).reason(), "no such model");
}

TEST_F(EvaluationsServiceTest, ListsThemByPagesAndCancels) {
  for (int i = 0; i < 3; ++i) Create();
  proto::CancelEvaluationRequest cancel;
  proto::CancelEvaluationResponse cancelled;
  cancel.set_id(2);
  ASSERT_TRUE(Call(&Stub::Cancel, cancel, &cancelled).ok());
  cancel.set_id(7);
  EXPECT_EQ(Call(&Stub::Cancel, cancel, &cancelled).error_code(),
            grpc::StatusCode::NOT_FOUND);
  proto::ListEvaluationsRequest list;
  list.set_page_size(2);
  proto::ListEvaluationsResponse page;
  ASSERT_TRUE(Call(&Stub::List, list, &page).ok());
  ASSERT_EQ(page.evaluations_size(), 2);
  EXPECT_EQ(page.evaluations(0).id(), 3);
  list.set_page_token(page.next_page_token());
  page.Clear();
  ASSERT_TRUE(Call(&Stub::List, list, &page).ok());
  ASSERT_EQ(page.evaluations_size(), 1);
  EXPECT_EQ(page.evaluations(0).id(), 1);
  EXPECT_EQ(page.next_page_token(), "");
  list.Clear();
  list.set_state(proto::EVALUATION_CANCELLED);
  page.Clear();
  ASSERT_TRUE(Call(&Stub::List, list, &page).ok());
  ASSERT_EQ(page.evaluations_size(), 1);
  EXPECT_EQ(page.evaluations(0).id(), 2);
}

TEST_F(EvaluationsServiceTest, WhatCannotBeMeasuredIsRefused) {
  const auto why = [&](auto change) {
    proto::CreateEvaluationRequest request = Request();
    change(request);
    proto::CreateEvaluationResponse response;
    const grpc::Status status = Call(&Stub::Create, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->clear_model(); }),
              HasSubstr("spec.model"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_model("here"); }),
              HasSubstr("absolute"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->clear_data(); }),
              HasSubstr("nothing to measure"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_rows(-1); }),
              HasSubstr("spec.rows"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_window(0); }),
              HasSubstr("spec.window"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_window_kind("x"); }),
              HasSubstr("spec.window_kind"));
  // Every name in every list, at once.
  const std::string names = why([](auto& r) {
    proto::EvaluationSpec& spec = *r.mutable_spec();
    spec.set_modes("hybrid,nothin,x");
    spec.add_mode_at("layers=0:hybrid");
    spec.add_mode_at("layers=a:hybrid");
    spec.set_probe("passkey,quiz");
    spec.set_probe_lengths("64,long");
    spec.set_feature_map("relu");
    spec.set_ablate("x");
  });
  for (const char* problem :
       {"spec.modes: unknown component mode 'nothin'",
        "spec.modes: unknown component mode 'x'", "spec.mode_at[1]: layers=a",
        "spec.probe: there is no probe 'quiz'", "spec.probe_lengths: ",
        "'long'", "spec.feature_map: ", "spec.ablate: "}) {
    EXPECT_THAT(names, HasSubstr(problem));
  }
  EXPECT_THAT(names, Not(HasSubstr("mode_at[0]")));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_ablate("x"); }),
              HasSubstr("spec.ablate"));
  EXPECT_THAT(why([](auto& r) { r.mutable_spec()->set_gamma_init(1); }),
              HasSubstr("spec.gamma_init"));
  EXPECT_THAT(why([](auto& r) {
                r.mutable_spec()->set_modes(std::string(70'000, 'a'));
              }),
              HasSubstr("too long"));
  EXPECT_THAT(
      why([](auto& r) { r.set_idempotency_key(std::string(200, 'k')); }),
      HasSubstr("idempotency_key"));
}

TEST_F(EvaluationsServiceTest, EveryProblemIsToldWithItsField) {
  proto::CreateEvaluationRequest request = Request();
  request.mutable_spec()->set_data("here.h5");
  request.mutable_spec()->set_rows(-1);
  request.mutable_spec()->set_window(0);
  proto::CreateEvaluationResponse response;
  const grpc::Status status = Call(&Stub::Create, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::rpc::Status whole;
  ASSERT_TRUE(whole.ParseFromString(status.error_details()));
  EXPECT_EQ(whole.code(), static_cast<int>(status.error_code()));
  ASSERT_EQ(whole.details_size(), 1);
  google::rpc::BadRequest details;
  ASSERT_TRUE(whole.details(0).UnpackTo(&details));
  std::map<std::string, std::string> problems;
  for (const auto& violation : details.field_violations()) {
    problems[violation.field()] = violation.description();
    EXPECT_THAT(status.error_message(), HasSubstr(violation.field()));
  }
  EXPECT_THAT(problems, ElementsAre(Pair("spec.data", "is no absolute path"),
                                    Pair("spec.rows", "is negative"),
                                    Pair("spec.window", HasSubstr("2^20"))));
}

TEST_F(EvaluationsServiceTest, PathsStayInsideOfTheRoots) {
  Stop();
  Start({folder_.File("inside")});
  Create();
  std::filesystem::create_directory_symlink(folder_.path(),
                                            folder_.File("inside/out"));
  for (const std::string& path :
       {std::string("/etc/passwd"), folder_.File("inside/../data"),
        folder_.File("inside/out/data")}) {
    for (const bool model : {true, false}) {
      proto::CreateEvaluationRequest request = Request();
      if (model) {
        request.mutable_spec()->set_model(path);
      } else {
        request.mutable_spec()->set_data(path);
      }
      proto::CreateEvaluationResponse response;
      EXPECT_EQ(Call(&Stub::Create, request, &response).error_code(),
                grpc::StatusCode::PERMISSION_DENIED)
          << path;
    }
  }
}

TEST_F(EvaluationsServiceTest, RolesDecideWhoMayDoWhat) {
  const std::string viewer = door_.Add("vi", Role::kViewer);
  const std::string ann = door_.Add("ann", Role::kSubmitter);
  const std::string bob = door_.Add("bob", Role::kSubmitter);
  const std::string admin = door_.Add("root", Role::kAdmin);
  const auto code = [&](auto method, const auto& request, auto response,
                        const std::string& token) {
    return Call(method, request, &response, token).error_code();
  };
  const auto create = Request();
  EXPECT_EQ(code(&Stub::Create, create, proto::CreateEvaluationResponse(), ""),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(
      code(&Stub::Create, create, proto::CreateEvaluationResponse(), viewer),
      grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(
      code(&Stub::Lease, proto::LeaseRequest(), proto::LeaseResponse(), viewer),
      grpc::StatusCode::PERMISSION_DENIED);
  const uint64_t id = Create(ann);
  proto::GetEvaluationRequest get;
  get.set_id(id);
  EXPECT_EQ(code(&Stub::Get, get, proto::EvaluationInfo(), viewer),
            grpc::StatusCode::OK);
  // Bob's workers do nothing for ann, and say nothing of her parts.
  EXPECT_EQ(Lease(0, bob).evaluation(), 0);
  const proto::LeaseResponse lease = Lease(0, admin);
  EXPECT_EQ(lease.evaluation(), id);
  EXPECT_EQ(code(&Stub::Fail, Of<proto::FailRequest>(lease),
                 proto::FailResponse(), bob),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(code(&Stub::Renew, Of<proto::RenewRequest>(lease),
                 proto::RenewResponse(), ann),
            grpc::StatusCode::OK);
  proto::CancelEvaluationRequest cancel;
  cancel.set_id(id);
  EXPECT_EQ(code(&Stub::Cancel, cancel, proto::CancelEvaluationResponse(), bob),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(code(&Stub::Cancel, cancel, proto::CancelEvaluationResponse(), ann),
            grpc::StatusCode::OK);
}

TEST_F(EvaluationsServiceTest, CheckpointsOfJobsAreListed) {
  proto::ListCheckpointsRequest request;
  request.set_job(1);
  const auto list = [&](proto::ListCheckpointsResponse* response) {
    grpc::ClientContext context;
    return proto::Checkpoints::Stub(channel_).List(&context, request, response);
  };
  proto::ListCheckpointsResponse response;
  EXPECT_EQ(list(&response).error_code(), grpc::StatusCode::NOT_FOUND);
  absl::Notification submitted;
  coordinator_->Submit(
      {.name = "n", .spec = "s"},
      [&](const absl::StatusOr<JobId>&) { submitted.Notify(); });
  submitted.WaitForNotification();
  EXPECT_TRUE(list(&response).ok());
  EXPECT_EQ(response.checkpoints_size(), 0);
  // One that is damaged is there, with what is wrong.
  const std::string checkpoint =
      folder_.File("runs/1/checkpoints/checkpoint-00000012");
  std::filesystem::create_directories(checkpoint);
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      JoinPath(checkpoint, "manifest.json"), "{"));
  EXPECT_TRUE(list(&response).ok());
  ASSERT_EQ(response.checkpoints_size(), 1);
  EXPECT_EQ(response.checkpoints(0).step(), 12);
  EXPECT_NE(response.checkpoints(0).problem(), "");
  EXPECT_FALSE(response.has_best_step());
}

}  // namespace
}  // namespace caracal
