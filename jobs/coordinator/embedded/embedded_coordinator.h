// The coordinator of one run, in the process that trains it: the same service
// as caracald's, on a socket that only this user can reach.
#ifndef CARACAL_JOBS_COORDINATOR_EMBEDDED_EMBEDDED_COORDINATOR_H_
#define CARACAL_JOBS_COORDINATOR_EMBEDDED_EMBEDDED_COORDINATOR_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/coordinator/service/private_socket.h"
#include "jobs/coordinator/service/service.h"
#include "jobs/launch/foreground_launcher.h"
#include "jobs/launch/gang_folder.h"
#include "proto/job.pb.h"

namespace caracal {

struct EmbeddedOptions {
  const proto::Job* job = nullptr;  // expanded and validated
  // Made if need be; the coordinator's data are in its folder `coordinator`.
  std::string run_folder;
  bool page = false;  // on a free port of the loopback
  // As ForegroundLauncher has it.
  std::function<void()> stop;
};

// Not thread-safe.
class EmbeddedCoordinator {
 public:
  // The folder of a run's coordinator.
  static std::string DataFolderOf(const std::string& run_folder);

  // With the job's gang started, for the caller to run: the job that the folder
  // holds goes on, if it is this one and has not succeeded; else this one is
  // submitted, with what the one before it was tuned to. Jobs of a process that
  // was killed have failed.
  //
  // kFailedPrecondition: another process uses the folder. Errors of
  // Service::Start; kUnavailable: nothing can be stored there.
  static absl::StatusOr<std::unique_ptr<EmbeddedCoordinator>> Start(
      const EmbeddedOptions& options);
  // Calls End(), if nobody has.
  ~EmbeddedCoordinator();

  GangId gang() const { return gang_; }
  GangFolder gang_folder() const { return launcher_->FolderOf(gang_); }
  std::string endpoint_file() const;
  std::string page() const { return service_->endpoint().web; }  // "": none
  // What the page asks for: others on this machine can reach it. It is stored
  // nowhere.
  const std::string& page_token() const { return page_token_; }
  // For the gang's line to it. Ends before this does.
  std::shared_ptr<grpc::Channel> Channel() {
    return service_->InProcessChannel();
  }

  // How the gang has ended; nobody talks for it any more. Stored when this
  // returns, if that is possible within seconds. Once.
  void End(const absl::Status& status);

 private:
  EmbeddedCoordinator(std::string data_folder, PrivateSocket socket)
      : data_folder_(std::move(data_folder)), socket_(std::move(socket)) {}
  // Until no job of an earlier process is left that could go on by itself.
  absl::Status Settle();
  absl::StatusOr<JobId> Begin(const proto::Job& job);
  // Whether all that has happened is; waits for it for seconds at most.
  bool IsStored();

  const std::string data_folder_;
  const PrivateSocket socket_;
  std::unique_ptr<Service> service_;
  ForegroundLauncher* launcher_ = nullptr;  // the service's
  GangId gang_;                             // job 0: none yet
  std::string page_token_;                  // "": no page
  bool ended_ = false;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_EMBEDDED_EMBEDDED_COORDINATOR_H_
