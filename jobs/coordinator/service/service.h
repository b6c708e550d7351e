// A whole coordinator: state, store, launcher and gRPC server in one process.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_SERVICE_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_SERVICE_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "jobs/coordinator/access/slurm_rules.h"
#include "jobs/coordinator/engine/coordinator.h"
#include "jobs/coordinator/rpc/endpoint.h"
#include "jobs/coordinator/service/housekeeping.h"
#include "jobs/coordinator/service/security.h"
#include "jobs/launch/launcher.h"
#include "jobs/launch/slurm/slurm_options.h"

namespace caracal {

struct ServiceOptions {
  std::string data_folder;
  // Of all jobs, absolute: for a coordinator of one job. "": runs/ID in the
  // data folder.
  std::string run_folder = "";
  std::string listen = kDefaultAddress;  // port 0: one that is free; or unix:
  std::string web = "";  // of its page (web/web_server.h); "": none
  // The page asks for this token alone, which is an admin's there and nothing
  // elsewhere. "": for those that the service has.
  std::string web_token = "";
  // Where gangs and runs are, when not in data_folder (DataFolder::Open).
  std::string shared_folder = "";
  // Whether endpoint.json tells where it listens, once it does.
  bool announce = true;
  // Another file that tells the same, to all users. "": none.
  std::string public_endpoint = "";
  CoordinatorLimits limits;
  HousekeepingOptions housekeeping = {};
  // Slots of a job that names no threads. 0: all on this machine; one a rank
  // on a cluster.
  int64_t job_slots = 0;
  // An evaluation worker that is not heard of for so long has lost its part.
  absl::Duration evaluation_lease = absl::Seconds(30);
  SecurityOptions security;
  // Gangs as jobs of Slurm. None: on this machine.
  std::optional<SlurmOptions> slurm = {};
  // The names that jobs may choose there; the rest follows from `slurm`.
  SlurmRules slurm_rules = {};
  // Another launcher, for tests: with the folder of gangs, and whom it tells.
  std::function<absl::StatusOr<std::unique_ptr<Launcher>>(
      const std::string& gangs, LauncherEvents* events)>
      make_launcher = nullptr;
};

// Runs until it is destroyed. Gangs go on without it; the next one on this data
// folder finds them.
class Service {
 public:
  // kFailedPrecondition when another process uses the folder or the address;
  // errors of the store, of the launcher and of Security::Open.
  static absl::StatusOr<std::unique_ptr<Service>> Start(
      const ServiceOptions& options);
  ~Service();

  const Endpoint& endpoint() const { return endpoint_; }
  // For callers in this process. Ends with the service.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  Coordinator& coordinator();

 private:
  struct Parts;
  explicit Service(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
  Endpoint endpoint_;
  std::atomic<bool> stop_{false};
  std::thread ticks_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_SERVICE_H_
