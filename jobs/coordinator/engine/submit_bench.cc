// How many submissions a second become durable: by one client, who waits for
// each, and by many; beside the disk's own rate of syncs.
//
//   submit_bench FOLDER [clients]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "core/base/status.h"
#include "jobs/coordinator/engine/coordinator.h"

namespace caracal {
namespace {

constexpr absl::Duration kTime = absl::Seconds(3);

class NoOutput : public CoordinatorOutput {
 public:
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>&) override {}
};

// Appends of as many bytes as a submission's pages, synced one by one.
double SyncsPerSecond(const std::string& path) {
  const int fd = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
  CARACAL_CHECK(fd >= 0) << path;
  const std::vector<char> page(4 * 4096 + 96);
  int64_t syncs = 0;
  const absl::Time end = absl::Now() + kTime;
  while (absl::Now() < end) {
    CARACAL_CHECK(write(fd, page.data(), page.size()) ==
                  static_cast<ssize_t>(page.size()));
    CARACAL_CHECK(fdatasync(fd) == 0);
    ++syncs;
  }
  close(fd);
  unlink(path.c_str());
  return static_cast<double>(syncs) / absl::ToDoubleSeconds(kTime);
}

double SubmissionsPerSecond(Coordinator& coordinator, int clients) {
  std::atomic<int64_t> done = 0;
  std::vector<std::thread> threads;
  const absl::Time end = absl::Now() + kTime;
  for (int i = 0; i < clients; ++i) {
    threads.emplace_back([&] {
      JobRequest request;
      request.name = "bench";
      request.spec = std::string(1000, 'x');
      while (absl::Now() < end) {
        absl::Notification answered;
        coordinator.Submit(request, [&](const absl::StatusOr<JobId>& id) {
          CARACAL_CHECK_OK(id.status());
          answered.Notify();
        });
        answered.WaitForNotification();
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(done) / absl::ToDoubleSeconds(kTime);
}

void Run(const std::string& folder, int clients) {
  auto store = JobStore::Open(folder);
  CARACAL_CHECK_OK(store.status());
  NoOutput output;
  Coordinator coordinator({.slots = 1}, store->get(), Clock::Real(), &output);
  CARACAL_CHECK_OK(coordinator.Load());
  coordinator.Recover();
  for (int repeat = 0; repeat < 3; ++repeat) {
    const double syncs = SyncsPerSecond(folder + "/syncs");
    const double one = SubmissionsPerSecond(coordinator, 1);
    const double many = SubmissionsPerSecond(coordinator, clients);
    printf("%.0f syncs/s; one client %.0f/s (%.0f%%); %d clients %.0f/s\n",
           syncs, one, 100 * one / syncs, clients, many);
  }
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "submit_bench FOLDER [clients]\n");
    return 2;
  }
  caracal::Run(argv[1], argc > 2 ? atoi(argv[2]) : 32);
}
