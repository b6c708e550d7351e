// The sockets that a coordinator's calls come in by.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_LISTENER_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_LISTENER_H_

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/launch/descriptor.h"

namespace caracal {

// Accepts connections and gives them to gRPC. gRPC 1.51 would do so itself, but
// stops for good when it has once run out of file descriptors. Here some are
// kept for the store, logs and gangs: while there are no more than these, those
// who come are sent away at once, and may come again.
class Listener {
 public:
  // Listens on HOST:PORT (port 0: one that is free) or unix:PATH. HOST 0.0.0.0
  // and [::] are both all addresses of this machine. kInvalidArgument for
  // another address; kFailedPrecondition when it can't be had, and why.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(
      const std::string& address);
  // Accepts no more. Before the server that has the connections.
  ~Listener();

  int port() const { return port_; }  // 0 of a unix socket

  using Acceptor = grpc::experimental::ExternalConnectionAcceptor;
  // Once, when the server has started. File descriptors from number `most` on
  // are not for connections; 0: from three quarters of those that this process
  // may have.
  void Start(std::unique_ptr<Acceptor> acceptor, int most = 0);

  // kUnavailable while connections are sent away.
  absl::Status Health() const;

 private:
  Listener() = default;
  absl::Status OpenUnix(const std::string& path);
  absl::Status OpenTcp(const std::string& address);
  void Run();
  // False: there was none.
  bool AcceptOne(int listening);
  void Refused(const std::string& why);

  std::string path_;  // of a unix socket, which goes with it
  int port_ = 0;
  std::vector<Descriptor> sockets_;
  Descriptor wake_;
  std::unique_ptr<Acceptor> acceptor_;
  int most_ = 0;
  mutable absl::Mutex mutex_;
  std::string refused_ ABSL_GUARDED_BY(mutex_);  // why, the last time
  absl::Duration refused_at_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

// Has this process use as many file descriptors as it is allowed to, up to
// 65,536: a login shell's limit is often 1,024.
void RaiseDescriptorLimit();

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_LISTENER_H_
