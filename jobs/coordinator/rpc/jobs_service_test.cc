// Through a channel in this process, as any client would.
#include "jobs/coordinator/rpc/jobs_service.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <set>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/testing/tiny_model.h"
#include "jobs/coordinator/rpc/testing/events_only.h"
#include "jobs/coordinator/rpc/testing/test_door.h"
#include "jobs/spec/job_file.h"
#include "proto/rpc_error.pb.h"

namespace caracal {
namespace {

using grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class JobsServiceTest : public ::testing::Test {
 protected:
  explicit JobsServiceTest(const std::vector<std::string>& roots = {})
      : files_(*PathRoots::Of(roots), FileSystem::Posix()) {
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
        JobsServiceOptions{
            .runs = "/runs",
            .slots = 2,
            .slurm = {.has_slurm = true, .partitions = {{"gpu"}}}},
        &*coordinator_, &hub_,
        [this](JobId job, uint64_t epoch) {
          return folder_.File(absl::StrCat("log-", job, "-", epoch));
        },
        &files_, &door_.door);
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
  TestDoor door_;
  RootedFileSystem files_;
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

TEST_F(JobsServiceTest, AReportWithTextNeedsATokenizer) {
  proto::SubmitRequest request;
  request.set_job(Job("evaluation { prompt: \"Once\" }"));
  JobId id = 0;
  EXPECT_THAT(Submit(request, &id).error_message(),
              HasSubstr("evaluation.prompt: needs the model's tokenizer"));
}

TEST_F(JobsServiceTest, AJobThatWaitsSaysForWhat) {
  const JobId first = Submitted(Job("parallel { data: 2 }"));
  const JobId second = Submitted(Job());
  EXPECT_EQ(Get(second).reason(), "waits for 2 slots; 0 of 2 are free");
  proto::SubmitRequest request;
  request.set_job(Job());
  request.add_after(first);
  request.add_after(first);
  JobId third = 0;
  ASSERT_TRUE(Submit(request, &third).ok());
  const proto::JobInfo job = Get(third);
  EXPECT_THAT(job.after(), ElementsAre(first));
  EXPECT_EQ(job.reason(), absl::StrCat("after ", first));
  proto::ListJobsResponse list;
  ASSERT_TRUE(
      Call(&proto::Jobs::Stub::List, proto::ListJobsRequest(), &list).ok());
  ASSERT_EQ(list.jobs_size(), 3);
  EXPECT_EQ(list.jobs(0).reason(), job.reason());
}

TEST_F(JobsServiceTest, EveryProblemOfAJobIsToldWithItsField) {
  proto::SubmitRequest request;
  request.set_job(
      Job("lora { rank: -1 } seed: 1 parallel { tensor: 7 } "
          "optimizer { beta1: 2 }"));
  request.set_priority(99'999'999);
  request.set_max_retries(-4);
  request.add_after(77);
  request.add_after(78);
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
  EXPECT_THAT(fields, ::testing::IsSupersetOf({"lora.rank", "optimizer.beta1",
                                               "priority", "max_retries",
                                               "after", "after"}));
  // As much is told of a job that is only to be looked at.
  const auto validated = [&] {
    proto::ValidateResponse response;
    EXPECT_TRUE(Call(&proto::Jobs::Stub::Validate, request, &response).ok());
    std::vector<std::string> out;
    for (const auto& problem : response.problems()) {
      out.push_back(problem.field());
      EXPECT_NE(problem.message(), "");
    }
    return out;
  };
  EXPECT_EQ(validated(), fields);
  request.clear_job();
  EXPECT_THAT(validated(),
              ElementsAre("max_retries", "priority", "after", "after"));
  request.clear_priority();
  request.clear_max_retries();
  request.clear_after();
  // Where it is, of a text that is read in parts.
  request.set_job("seed 1\nlora { rnak: 2 }\n");
  proto::ValidateResponse places;
  EXPECT_TRUE(Call(&proto::Jobs::Stub::Validate, request, &places).ok());
  ASSERT_EQ(places.problems_size(), 2);
  EXPECT_EQ(places.problems(0).where(), "job:1:6");
  EXPECT_EQ(places.problems(1).where(), "job:2:8");
  EXPECT_EQ(places.problems(1).field(), "lora.rnak");
  // What is asked of Slurm: its format, and this coordinator's rules.
  request.set_job(
      Job("slurm { partition: \"cpu\" time: \"1d\" } lora { rank: -1 "
          "}"));
  EXPECT_THAT(validated(), ::testing::UnorderedElementsAre(
                               "slurm.partition", "slurm.time", "lora.rank"));
  request.set_job(Job("slurm { partition: \"gpu\" time: \"1-0\" }"));
  EXPECT_THAT(validated(), ElementsAre());
  // Slots that there are not, beside other problems.
  request.set_job(Job("threads: 3 lora { rank: -1 }"));
  EXPECT_THAT(validated(),
              ::testing::UnorderedElementsAre("threads", "lora.rank"));
  // Paths count from nowhere.
  request.set_job(
      "preset: \"lolcats\" model { path: \"m\" } data { path: \"../d.h5\" } "
      "budget { transfer_steps: 2 finetune_steps: 1 batch: 2 }");
  EXPECT_THAT(validated(),
              ::testing::UnorderedElementsAre("model.path", "data.path"));
  EXPECT_THAT(Submit(request, &id).error_message(),
              HasSubstr("data.path: is ../d.h5, which is relative"));
  request.set_job(Job());
  EXPECT_THAT(validated(), ElementsAre());
  EXPECT_FALSE(coordinator_->Get(1).has_value());
  // What only the model tells.
  request.set_job(Job("parallel { tensor: 7 }"));
  EXPECT_THAT(Submit(request, &id).error_message(),
              HasSubstr("parallel.tensor: is 7"));
  request.set_job("name: 7 {");
  EXPECT_EQ(Submit(request, &id).error_code(), StatusCode::INVALID_ARGUMENT);
  request.set_job(Job("parallel { data: 2 tensor: 2 }"));
  EXPECT_THAT(Submit(request, &id).error_message(), HasSubstr("has 2"));
  request.set_job(Job() + std::string(1 << 20, ' '));
  EXPECT_THAT(Submit(request, &id).error_message(), HasSubstr("at most"));
  request.set_job(Job());
  request.add_after(77);
  EXPECT_EQ(Submit(request, &id).error_code(), StatusCode::NOT_FOUND);
  request.clear_after();
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
  const auto cancel = [&](JobId job, const std::string& key = "") {
    proto::CancelJobRequest request;
    request.set_id(job);
    request.set_idempotency_key(key);
    proto::CancelJobResponse response;
    return Call(&proto::Jobs::Stub::Cancel, request, &response);
  };
  EXPECT_TRUE(cancel(id).ok());
  EXPECT_EQ(Get(id).state(), proto::CANCELLING);
  EXPECT_TRUE(cancel(waiting, "c").ok());
  EXPECT_EQ(Get(waiting).state(), proto::CANCELLED);
  EXPECT_EQ(cancel(99).error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(cancel(waiting, std::string(129, 'k')).error_code(),
            StatusCode::INVALID_ARGUMENT);
  proto::ResumeJobRequest resume;
  resume.set_id(waiting);
  proto::ResumeJobResponse no_resume;
  EXPECT_TRUE(Call(&proto::Jobs::Stub::Resume, resume, &no_resume).ok());
  EXPECT_EQ(Get(waiting).state(), proto::QUEUED);
  // What comes again, late, changes nothing.
  priority.set_idempotency_key("p");
  for (const int64_t value : {5, 6}) {
    priority.set_priority(value);
    EXPECT_TRUE(
        Call(&proto::Jobs::Stub::SetPriority, priority, &no_priority).ok());
  }
  EXPECT_EQ(Get(waiting).priority(), 5);
  EXPECT_TRUE(cancel(waiting, "c").ok());
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

TEST_F(JobsServiceTest, LogsBeginWhereTheReaderIs) {
  const JobId id = Submitted(Job());
  coordinator_->GangEnded(id, 1, GangEnd::kStopped, "");
  ASSERT_OK(FileSystem::Posix()->Append(
      folder_.File(absl::StrCat("log-", id, "-1")), "one two\n"));
  const auto logs = [&](uint64_t gang, uint64_t begin_gang, uint64_t offset) {
    grpc::ClientContext context;
    proto::LogsRequest request;
    request.set_job(id);
    request.set_gang(gang);
    request.set_begin_gang(begin_gang);
    request.set_offset(offset);
    const auto reader = stub_->Logs(&context, request);
    std::string out;
    proto::LogsResponse part;
    while (reader->Read(&part)) {
      absl::StrAppend(&out, part.gang(), "+", part.offset(), ":", part.text());
    }
    EXPECT_TRUE(reader->Finish().ok());
    return out;
  };
  EXPECT_EQ(logs(0, 0, 0), "1+0:one two\n");
  EXPECT_EQ(logs(0, 1, 4), "1+4:two\n");
  EXPECT_EQ(logs(1, 0, 4), "1+4:two\n");
  EXPECT_EQ(logs(0, 1, 8), "");
  EXPECT_EQ(logs(0, 2, 0), "");
}

const std::vector<std::string>& HostileStrings() {
  static const auto* const strings =
      new std::vector<std::string>{"..",
                                   "../../../../tmp/x",
                                   "/etc/passwd",
                                   "a/../..",
                                   std::string("a\0b", 3),
                                   "a\nb",
                                   "$(touch /tmp/x)",
                                   "`id`; id | id & id > x < y",
                                   "'\"\\",
                                   "-rf",
                                   "--out=/tmp/x",
                                   "<script>alert(1)</script>",
                                   "%s%n",
                                   "\x1b[31m",
                                   std::string(100'000, 'a'),
                                   "\xe2\x80\xae"
                                   "evil"};
  return *strings;
}

// Calls `change` with every string field of the message, set on its own: its
// path, and how to set it.
using SetString = std::function<void(proto::Job*, const std::string&)>;
void ForEachString(
    const google::protobuf::Descriptor* message, const std::string& path,
    const std::function<google::protobuf::Message*(proto::Job*)>& find,
    const std::function<void(const std::string&, const SetString&)>& visit) {
  using google::protobuf::FieldDescriptor;
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    const std::string name =
        path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      visit(name, [=](proto::Job* job, const std::string& value) {
        google::protobuf::Message* parent = find(job);
        if (field->is_repeated()) {
          parent->GetReflection()->AddString(parent, field, value);
        } else {
          parent->GetReflection()->SetString(parent, field, value);
        }
      });
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               !field->is_repeated()) {
      ForEachString(
          field->message_type(), name,
          [=](proto::Job* job) {
            google::protobuf::Message* parent = find(job);
            return parent->GetReflection()->MutableMessage(parent, field);
          },
          visit);
    }
  }
}

// tests/service/security_test.sh runs those that are taken in to their end.
TEST_F(JobsServiceTest, HostileStringsAreRefusedOrHarmless) {
  std::vector<Problem> problems;
  const proto::Job good = ParseJob(Job(), "job", nullptr, &problems);
  ASSERT_TRUE(problems.empty());
  // What a report with a prompt needs.
  ASSERT_OK(FileSystem::Posix()->WriteFileAtomically(
      folder_.File("model/tokenizer.json"), R"({
 "added_tokens": [], "normalizer": null, "post_processor": null,
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
                   "use_regex": true},
 "decoder": {"type": "ByteLevel"},
 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2},
           "merges": [["a", "b"]], "unk_token": null, "dropout": null}
})"));
  std::set<std::string> fields, taken;
  ForEachString(
      proto::Job::descriptor(), "", [](proto::Job* job) { return job; },
      [&](const std::string& field, const SetString& set) {
        fields.insert(field);
        for (const std::string& value : HostileStrings()) {
          proto::Job job = good;
          set(&job, value);
          proto::SubmitRequest request;
          request.set_job(JobText(job));
          JobId id = 0;
          const grpc::Status status = Submit(request, &id);
          if (status.ok()) {
            taken.insert(field);
            const proto::JobInfo info = Get(id);
            EXPECT_EQ(info.run_folder(), absl::StrCat("/runs/", id));
            EXPECT_EQ(info.name(), "tiny");
            continue;
          }
          EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT)
              << field << ": " << status.error_message();
          // Files that can be opened and are something else are named.
          EXPECT_THAT(status.error_message(),
                      ::testing::AnyOf(HasSubstr(field), HasSubstr(value)));
        }
      });
  EXPECT_THAT(fields, ::testing::IsSupersetOf(
                          {"name", "model.path", "data.path", "device",
                           "data.validation", "lora.projections",
                           "evaluation.prompt", "evaluation.probe.kinds"}));
  // Texts that no file or command is named by.
  EXPECT_THAT(taken, ElementsAre("evaluation.prompt", "expanded_from"));
}

TEST_F(JobsServiceTest, JobsBelongToWhoSubmitsThem) {
  EXPECT_EQ(Get(Submitted(Job())).owner(), "local");
  const std::string token = door_.Add("ann", Role::kSubmitter);
  proto::SubmitRequest request;
  request.set_job(Job());
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token);
  proto::SubmitResponse response;
  ASSERT_TRUE(stub_->Submit(&context, request, &response).ok());
  EXPECT_EQ(coordinator_->Get(response.id())->request.owner, "ann");
}

class ConfinedTest : public JobsServiceTest {
 protected:
  ConfinedTest() : JobsServiceTest({::testing::TempDir()}) {}
};

TEST_F(ConfinedTest, PathsOutsideOfTheRootsAreRefusedAllAtOnce) {
  Submitted(Job());
  std::filesystem::create_symlink("/etc/passwd", folder_.File("link"));
  proto::SubmitRequest request;
  request.set_job(absl::StrCat(
      "preset: \"lolcats\" model { path: \"/etc\" } data { path: \"",
      folder_.File("link"), "\" validation: \"", folder_.path(),
      "/../../../../../../../../etc/shadow\" } lora { rank: -1 }"));
  JobId id;
  const grpc::Status status = Submit(request, &id);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  google::rpc::Status whole;
  google::rpc::BadRequest details;
  ASSERT_TRUE(whole.ParseFromString(status.error_details()));
  ASSERT_TRUE(whole.details(0).UnpackTo(&details));
  std::map<std::string, std::string> found;
  for (const auto& violation : details.field_violations()) {
    found[violation.field()] += violation.description();
  }
  for (const char* field : {"model.path", "data.path", "data.validation"}) {
    EXPECT_THAT(found[field], ::testing::StartsWith("is outside of")) << field;
  }
  EXPECT_NE(found["lora.rank"], "");
}

// An error travels as metadata, of which there is room for so much.
TEST_F(JobsServiceTest, OfManyProblemsAsManyAreToldAsThereIsRoomFor) {
  proto::SubmitRequest request;
  std::string job;
  for (int i = 0; i < 200; ++i) absl::StrAppend(&job, "colour: ", i, "\n");
  request.set_job(Job(job));
  JobId id;
  const grpc::Status status = Submit(request, &id);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              ::testing::AllOf(::testing::StartsWith("job: "),
                               HasSubstr(": colour: there is no such field"),
                               HasSubstr(" more: Jobs.Validate tells all")));
  proto::ValidateResponse all;
  EXPECT_TRUE(Call(&proto::Jobs::Stub::Validate, request, &all).ok());
  EXPECT_EQ(all.problems_size(), 200);
}

// A model's folder is inside, what lies in it is not.
TEST_F(ConfinedTest, LinksInAModelsFolderLeadNowhere) {
  std::filesystem::remove(folder_.File("model/config.json"));
  std::filesystem::create_symlink("/etc/passwd",
                                  folder_.File("model/config.json"));
  proto::SubmitRequest request;
  request.set_job(Job());
  JobId id;
  const grpc::Status status = Submit(request, &id);
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("config.json"));
  EXPECT_THAT(status.error_message(), ::testing::Not(HasSubstr("root:")));
}

}  // namespace
}  // namespace caracal
