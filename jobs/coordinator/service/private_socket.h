// Where a coordinator listens that only this user is to reach.
#ifndef CARACAL_JOBS_COORDINATOR_SERVICE_PRIVATE_SOCKET_H_
#define CARACAL_JOBS_COORDINATOR_SERVICE_PRIVATE_SOCKET_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace caracal {

// The name of a socket to be made: FOLDER/socket-PID, or, where that is longer
// than the kernel lets names of sockets be, one in a folder of its own under
// $TMPDIR or /tmp, mode 0700. No killed process is waited for under it. Owns
// that folder: removed, with the socket, at the end.
class PrivateSocket {
 public:
  // `folder` is absolute, and the user's alone. Errors name the folder.
  static absl::StatusOr<PrivateSocket> In(const std::string& folder);
  PrivateSocket(PrivateSocket&& other) noexcept
      : path_(std::move(other.path_)),
        own_folder_(std::exchange(other.own_folder_, "")) {}
  PrivateSocket& operator=(PrivateSocket&&) = delete;
  ~PrivateSocket();

  // As gRPC has it.
  std::string address() const { return "unix:" + path_; }

  // Of an address that a killed process used, once nobody can: removes the
  // socket, and the folder, if it had one of its own.
  static void RemoveLeftOver(const std::string& address,
                             const std::string& folder);

 private:
  PrivateSocket(std::string path, std::string own_folder)
      : path_(std::move(path)), own_folder_(std::move(own_folder)) {}
  std::string path_;
  std::string own_folder_;  // "": none
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_SERVICE_PRIVATE_SOCKET_H_
