// Rank 0's line to the coordinator: signs of life and metrics out, requests
// to stop in. Training never waits for it.
#ifndef CARACAL_JOBS_WORKER_COORDINATOR_LINK_H_
#define CARACAL_JOBS_WORKER_COORDINATOR_LINK_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_condition.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/launch/gang_spec.h"
#include "proto/coordinator.grpc.pb.h"

namespace caracal {

struct CoordinatorLinkOptions {
  GangId gang;
  std::string credential;               // of the gang
  std::vector<std::string> hosts = {};  // of its ranks, in their order
  std::string endpoint_file;  // of the coordinator; read again after errors
  // To one in this process, which outlives the link; null: by the file.
  std::shared_ptr<grpc::Channel> channel = nullptr;
  absl::Duration interval = absl::Seconds(1);
  // Of the gang's metrics, at most `most` lines from its `first`th, as they
  // were written: those that are kept no longer. Called on the link's thread.
  // Null: there are none.
  std::function<absl::StatusOr<std::vector<std::string>>(int64_t first,
                                                         size_t most)>
      written = nullptr;
  size_t most_kept = 100'000;  // lines of metrics
  // Called on the link's thread. The gang is to save and end; at most once.
  std::function<void()> stop;
  // The gang was given up, and another one may be training: this process is to
  // end without writing anything more. At most once.
  std::function<void(const std::string& why)> fenced;
  // Lines for people: the coordinator is away, and is back.
  std::function<void(const std::string& line)> tell;
};

// Thread-safe; Direct() is for one thread at a time.
class CoordinatorLink {
 public:
  explicit CoordinatorLink(CoordinatorLinkOptions options);
  // Sends what there is, if the coordinator is there, or comes back within
  // three seconds.
  ~CoordinatorLink();
  CoordinatorLink(const CoordinatorLink&) = delete;
  CoordinatorLink& operator=(const CoordinatorLink&) = delete;

  void SetProgress(const std::string& stage, int64_t global_step,
                   int64_t total_steps);
  // A line of metrics, a JSON object. While the coordinator is away the newest
  // are kept; those before them are read again, or, where they can't be, are
  // missing, which is told.
  void AddMetrics(std::string line);

  // What the curriculum sets for coming steps, asked on the caller's thread.
  // kUnavailable, at once when it is known to be away, else within seconds;
  // other errors of the coordinator's.
  absl::StatusOr<proto::DirectResponse> Direct(proto::DirectRequest request);
  // As the coordinator last told (HeartbeatResponse.tunings).
  uint64_t tunings() const { return tunings_; }

 private:
  void Run();
  // One exchange. Null when there is nobody to talk to.
  absl::Status Beat();
  absl::StatusOr<std::unique_ptr<proto::Gangs::Stub>> Connect() const;
  absl::Status Register();
  // The next lines to send, and the number of the first of them.
  std::vector<std::string> NextLines(int64_t* first);
  // Whether lines are to be sent that are not kept any more.
  bool IsBehind() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stored_ + 1 < first_line_;
  }
  // What an answer asks for.
  template <typename Response>
  void Heed(const Response& response);

  const CoordinatorLinkOptions options_;

  // Of the thread.
  std::unique_ptr<proto::Gangs::Stub> stub_;
  bool registered_ = false, told_to_stop_ = false;
  std::unique_ptr<proto::Gangs::Stub> direct_stub_;  // of who calls Direct()

  std::atomic<bool> away_{false};
  std::atomic<uint64_t> tunings_{0};

  absl::Mutex mutex_;
  proto::JobProgress progress_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  int64_t first_line_ ABSL_GUARDED_BY(mutex_) = 1;  // number of lines_[0]
  // The coordinator has all up to this one, or will never get them.
  int64_t stored_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t given_up_ ABSL_GUARDED_BY(mutex_) = 0;  // the last of the latter
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyCondition ended_;                              // ending_ is set
  absl::Duration give_up_at_ ABSL_GUARDED_BY(mutex_);  // once it is ending
  std::thread thread_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_WORKER_COORDINATOR_LINK_H_
