// Loads a coordinator, and prints one JSON object of what it saw.
//
//   load_client ADDRESS submit JOB CLIENTS CALLS SECONDS
//       submissions a second, each durable before it is answered; a client has
//       one connection, and so many calls under way on it
//   load_client ADDRESS check SECONDS
//       standard health checks a second, one at a time: what a call costs that
//       has the server do nothing
//   load_client ADDRESS list JOBS
//       milliseconds of pages of the newest jobs: of 100, of 1,000, and of all
//   load_client ADDRESS gangs DATA GANGS WATCHERS SECONDS
//       that many jobs' gangs (jobs 1 to GANGS, which wait for them) send a
//       sign of life and a line of metrics each second, while that many streams
//       watch a job each
#include <google/protobuf/empty.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/launch/gang_folder.h"
#include "kernels/common/check.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

absl::Duration Now() { return Clock::Real()->Now(); }

double Milliseconds(absl::Duration duration) {
  return absl::ToDoubleMilliseconds(duration);
}

// Of sorted numbers.
double Quantile(const std::vector<double>& sorted, double q) {
  if (sorted.empty()) return 0;
  const double at = q * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(at + 0.5)];
}

void Check(const grpc::Status& status) {
  CARACAL_CHECK(status.ok()) << status.error_message();
}

// Before anything is measured.
std::shared_ptr<grpc::Channel> MakeConnectedChannel(
    const std::string& address) {
  auto channel = MakeChannel({address});
  CARACAL_CHECK(channel->WaitForConnected(std::chrono::system_clock::now() +
                                          std::chrono::seconds(30)))
      << address;
  return channel;
}

Json Submit(const std::string& address, const std::string& job, int clients,
            int calls, double seconds) {
  std::ifstream file(job);
  std::stringstream text;
  text << file.rdbuf();
  std::atomic<int64_t> done = 0;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<proto::Jobs::Stub>> stubs;
  for (int i = 0; i < clients; ++i) {
    stubs.push_back(proto::Jobs::NewStub(MakeConnectedChannel(address)));
  }
  const absl::Duration start = Now(), end = start + absl::Seconds(seconds);
  for (int i = 0; i < clients * calls; ++i) {
    threads.emplace_back([&, i] {
      const auto& stub = stubs[i / calls];
      proto::SubmitRequest request;
      request.set_job(text.str());
      for (int64_t n = 0; Now() < end; ++n) {
        // As the client does: another one in each run.
        request.set_idempotency_key(absl::StrCat(getpid(), "-", i, "-", n));
        grpc::ClientContext context;
        proto::SubmitResponse response;
        Check(stub->Submit(&context, request, &response));
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return {{"clients", clients},
          {"calls", calls},
          {"submitted", done.load()},
          {"per_second",
           static_cast<double>(done) / absl::ToDoubleSeconds(Now() - start)}};
}

Json CheckHealth(const std::string& address, double seconds) {
  const auto channel = MakeConnectedChannel(address);
  // As a stub calls it; all fields of question and answer are unknown to these.
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC,
                                         channel);
  const google::protobuf::Empty request;
  int64_t done = 0;
  const absl::Duration start = Now(), end = start + absl::Seconds(seconds);
  for (; Now() < end; ++done) {
    grpc::ClientContext context;
    google::protobuf::Empty response;
    Check(grpc::internal::BlockingUnaryCall(channel.get(), method, &context,
                                            request, &response));
  }
  return {{"per_second",
           static_cast<double>(done) / absl::ToDoubleSeconds(Now() - start)}};
}

Json List(const std::string& address, int64_t jobs) {
  const auto stub = proto::Jobs::NewStub(MakeConnectedChannel(address));
  // Pages of one size until `wanted` jobs have come.
  const auto pages = [&](int32_t size, int64_t wanted) {
    proto::ListJobsRequest request;
    request.set_page_size(size);
    int64_t seen = 0;
    do {
      grpc::ClientContext context;
      proto::ListJobsResponse response;
      Check(stub->List(&context, request, &response));
      seen += response.jobs_size();
      request.set_page_token(response.next_page_token());
    } while (seen < wanted && !request.page_token().empty());
    CARACAL_CHECK(seen >= wanted) << seen << " of " << wanted << " jobs";
  };
  pages(1, 1);
  Json out = {{"jobs", jobs}};
  for (const auto& [name, size, wanted] :
       {std::tuple<const char*, int32_t, int64_t>{"page_of_100_ms", 100, 100},
        {"page_of_1000_ms", 1000, 1000},
        {"all_ms", 1000, jobs}}) {
    std::vector<double> times;
    for (int i = 0; i < 21; ++i) {
      const absl::Duration start = Now();
      pages(size, std::min(wanted, jobs));
      times.push_back(Milliseconds(Now() - start));
    }
    std::sort(times.begin(), times.end());
    out[name] = Quantile(times, 0.5);
  }
  return out;
}

// A job's gang, one call at a time; all of a thread's share its channel.
struct Gang {
  proto::HeartbeatRequest request;
  absl::Duration next;
};

Json Gangs(const std::string& address, const std::string& data, int gangs,
           int watchers, double seconds) {
  constexpr int kThreads = 16;
  std::atomic<int64_t> events = 0;
  std::atomic<bool> over = false;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> streams;
  for (int w = 0; w < watchers; ++w) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
  }
  // A connection carries a hundred streams, as one person's page might.
  std::vector<std::unique_ptr<proto::Jobs::Stub>> stubs;
  for (int s = 0; s <= watchers / 100; ++s) {
    stubs.push_back(proto::Jobs::NewStub(MakeConnectedChannel(address)));
  }
  for (int w = 0; w < watchers; ++w) {
    streams.emplace_back([&, w] {
      proto::WatchRequest request;
      request.set_job(static_cast<uint64_t>(w % gangs + 1));
      const auto reader = stubs[w / 100]->Watch(contexts[w].get(), request);
      proto::JobEvent event;
      while (reader->Read(&event)) events += event.kind() == "metrics";
      const grpc::Status status = reader->Finish();
      CARACAL_CHECK(over) << status.error_message();
    });
  }
  absl::Mutex mutex;
  std::vector<double> times;
  std::vector<std::thread> threads;
  const absl::Duration start = Now(), end = start + absl::Seconds(seconds);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto stub = proto::Gangs::NewStub(MakeConnectedChannel(address));
      std::vector<Gang> mine;
      for (int g = t; g < gangs; g += kThreads) {
        Gang gang;
        gang.request.set_job(static_cast<uint64_t>(g + 1));
        gang.request.set_epoch(1);
        const auto credential =
            GangFolder(absl::StrCat(data, "/gangs/", g + 1, "-1"))
                .ReadCredential();
        CARACAL_CHECK(credential.ok()) << credential.status().message();
        gang.request.set_credential(*credential);
        gang.request.mutable_progress()->set_stage("transfer");
        // Spread over the second.
        gang.next = start + absl::Seconds(1) * g / gangs;
        mine.push_back(std::move(gang));
      }
      std::vector<double> took;
      size_t at = 0;
      for (int64_t step = 1;; at = (at + 1) % mine.size()) {
        Gang& gang = mine[at];
        if (gang.next >= end) break;
        absl::SleepFor(gang.next - Now());
        step = gang.request.first_line() + 1;
        gang.request.mutable_progress()->set_global_step(step);
        gang.request.set_first_line(static_cast<uint64_t>(step));
        gang.request.clear_metrics();
        gang.request.add_metrics(absl::StrCat(
            "{\"stage\":\"transfer\",\"step\":", step, ",\"global_step\":",
            step, ",\"loss\":0.26158,\"tokens_per_s\":110824.1}"));
        grpc::ClientContext context;
        proto::HeartbeatResponse response;
        // From when it was due: a late one is not a quick one.
        Check(stub->Heartbeat(&context, gang.request, &response));
        took.push_back(Milliseconds(Now() - gang.next));
        gang.next += absl::Seconds(1);
      }
      absl::MutexLock lock(&mutex);
      times.insert(times.end(), took.begin(), took.end());
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = absl::ToDoubleSeconds(Now() - start);
  // What is on its way still comes.
  const int64_t wanted =
      static_cast<int64_t>(times.size()) * (watchers / gangs);
  const absl::Duration patience = Now() + absl::Seconds(10);
  while (events < wanted && Now() < patience) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  over = true;
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& stream : streams) stream.join();
  std::sort(times.begin(), times.end());
  return {{"gangs", gangs},
          {"watchers", watchers},
          {"heartbeats_per_second", static_cast<double>(times.size()) / took},
          {"p50_ms", Quantile(times, 0.5)},
          {"p99_ms", Quantile(times, 0.99)},
          {"slowest_ms", Quantile(times, 1)},
          {"events", events.load()},
          {"events_wanted", wanted}};
}

int Main(int argc, char** argv) {
  const std::string what = argc > 2 ? argv[2] : "";
  Json out;
  if (what == "submit" && argc == 7) {
    out = Submit(argv[1], argv[3], std::atoi(argv[4]), std::atoi(argv[5]),
                 std::atof(argv[6]));
  } else if (what == "check" && argc == 4) {
    out = CheckHealth(argv[1], std::atof(argv[3]));
  } else if (what == "list" && argc == 4) {
    out = List(argv[1], std::atoi(argv[3]));
  } else if (what == "gangs" && argc == 7) {
    out = Gangs(argv[1], argv[3], std::atoi(argv[4]), std::atoi(argv[5]),
                std::atof(argv[6]));
  } else {
    std::cerr << "see load_client.cc\n";
    return 2;
  }
  std::cout << out.dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) { return caracal::Main(argc, argv); }
