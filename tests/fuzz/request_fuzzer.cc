// Feeds arbitrary bytes to the coordinator's services as requests, through a
// channel in this process: every call has to be answered, and the coordinator
// to go on.
//
// The first byte of an input chooses the method, the others are the message.
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "jobs/coordinator/rpc/gangs_service.h"
#include "jobs/coordinator/rpc/jobs_service.h"
#include "jobs/coordinator/rpc/testing/raw_call.h"
#include "jobs/coordinator/rpc/testing/test_door.h"
#include "jobs/spec/job_file.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr char kJob[] = R"(
name: "x"
model { path: "/m" }
data { path: "/d" validation: "/v" }
stages { finetune {
  steps: 100
  curriculum { drop { constant: 0.5 } closed_loop { every: 10 } }
} })";

class EventsOnly : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

// With one job, whose gang was asked for.
class Coordinated {
 public:
  Coordinated() {
    char folder[] = "/tmp/caracal_fuzz_XXXXXX";
    CARACAL_CHECK(mkdtemp(folder) != nullptr) << folder;
    store_ = JobStore::Open(folder).value();
    // What is open stays usable, and nothing is left behind.
    for (const char* end : {"", "-wal", "-shm"}) {
      CARACAL_CHECK_OK(FileSystem::Posix()->Remove(store_->path() + end));
    }
    CARACAL_CHECK_OK(FileSystem::Posix()->RemoveFolder(folder));
    coordinator_.emplace(CoordinatorLimits{.slots = 4}, store_.get(),
                         Clock::Real(), &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    coordinator_->Recover();
    std::vector<Problem> problems;
    const auto job =
        LoadJobText(kJob, "job", "/", {}, nullptr, nullptr, &problems);
    CARACAL_CHECK(problems.empty()) << problems[0].ToString();
    absl::Notification submitted;
    coordinator_->Submit(
        {.name = "x", .owner = "local", .spec = JobText(*job), .slots = 1},
        [&](const absl::StatusOr<JobId>& id) {
          CARACAL_CHECK(id.ok() && *id == 1) << "job 1";
          submitted.Notify();
        });
    submitted.WaitForNotification();
    jobs_.emplace(
        JobsServiceOptions{.runs = "/runs", .slots = 4}, &*coordinator_, &hub_,
        [](JobId, uint64_t) { return ""; }, &files_, &door_.door);
    gangs_.emplace(
        &*coordinator_,
        [](const GangId&) -> absl::StatusOr<std::string> { return "secret"; },
        &door_.door);
    grpc::ServerBuilder builder;
    builder.RegisterService(&*jobs_);
    builder.RegisterService(&*gangs_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
  }
  ~Coordinated() { server_->Shutdown(); }

  grpc::Status Call(const std::string& method, const std::string& bytes) {
    return CallRaw(channel_, "/caracal.proto." + method, bytes);
  }

 private:
  EventsOnly output_;
  EventHub hub_;
  TestDoor door_;
  RootedFileSystem files_{{}, FileSystem::Posix()};
  std::unique_ptr<JobStore> store_;
  std::optional<Coordinator> coordinator_;
  std::optional<JobsService> jobs_;
  std::optional<GangsService> gangs_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

const char* MethodOf(char letter) {
  switch (letter) {
    case 'S':
      return "Jobs/Submit";
    case 'L':
      return "Jobs/List";
    case 'T':
      return "Jobs/Tune";
    case 'R':
      return "Gangs/Register";
    case 'H':
      return "Gangs/Heartbeat";
    default:
      return "Gangs/Direct";
  }
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static caracal::Coordinated coordinated;
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const grpc::Status status =
      coordinated.Call(caracal::MethodOf(static_cast<char>(data[0])), bytes);
  switch (status.error_code()) {
    // Nobody has answered.
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::DEADLINE_EXCEEDED:
    case grpc::StatusCode::UNAVAILABLE:
      CARACAL_CHECK(false) << status.error_code() << " "
                           << status.error_message();
      break;
    case grpc::StatusCode::UNIMPLEMENTED:  // of gRPC: it can't be parsed
      break;
    default:
      CARACAL_CHECK(status.ok() || !status.error_message().empty());
  }
  return 0;
}
