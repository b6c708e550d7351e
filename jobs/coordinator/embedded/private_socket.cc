#include "jobs/coordinator/embedded/private_socket.h"

#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {
namespace {

// With the zero at the end.
constexpr size_t kLongestPath = sizeof(sockaddr_un::sun_path);
constexpr char kName[] = "socket";
constexpr char kFolderName[] = "caracal-run-";  // and six letters of chance

}  // namespace

absl::StatusOr<PrivateSocket> PrivateSocket::In(const std::string& folder) {
  const std::string path = JoinPath(folder, kName);
  if (path.size() < kLongestPath) return PrivateSocket(path, "");
  const char* const variable = getenv("TMPDIR");
  std::string own =
      JoinPath(variable != nullptr && variable[0] == '/' ? variable : "/tmp",
               std::string(kFolderName) + "XXXXXX");
  if (JoinPath(own, kName).size() >= kLongestPath) {
    own = JoinPath("/tmp", std::string(kFolderName) + "XXXXXX");
  }
  if (mkdtemp(own.data()) == nullptr) {
    return ErrnoStatus(errno, "create folder " + own);
  }
  return PrivateSocket(JoinPath(own, kName), own);
}

void PrivateSocket::RemoveFolder(const std::string& folder) {
  if (folder.empty()) return;
  unlink(JoinPath(folder, kName).c_str());
  rmdir(folder.c_str());
}

void PrivateSocket::RemoveLeftOver(const std::string& address,
                                   const std::string& folder) {
  if (!absl::StartsWith(address, "unix:/")) return;
  const std::string path = address.substr(sizeof("unix:") - 1);
  const std::string own = FolderOf(path);
  if (own == folder || BaseName(path) != kName ||
      !absl::StartsWith(BaseName(own), kFolderName)) {
    return;
  }
  RemoveFolder(own);
}

}  // namespace caracal
