#include "jobs/coordinator/service/private_socket.h"

#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {
namespace {

// With the zero at the end.
constexpr size_t kLongestPath = sizeof(sockaddr_un::sun_path);
constexpr char kName[] = "socket-";             // and the process
constexpr char kFolderName[] = "caracal-run-";  // and six letters of chance

}  // namespace

absl::StatusOr<PrivateSocket> PrivateSocket::In(const std::string& folder) {
  const std::string name = absl::StrCat(kName, getpid());
  const std::string path = JoinPath(folder, name);
  if (path.size() < kLongestPath) return PrivateSocket(path, "");
  const char* const variable = getenv("TMPDIR");
  std::string own =
      JoinPath(variable != nullptr && variable[0] == '/' ? variable : "/tmp",
               std::string(kFolderName) + "XXXXXX");
  if (JoinPath(own, name).size() >= kLongestPath) {
    own = JoinPath("/tmp", std::string(kFolderName) + "XXXXXX");
  }
  if (mkdtemp(own.data()) == nullptr) {
    return ErrnoStatus(errno, "create folder " + own);
  }
  return PrivateSocket(JoinPath(own, name), own);
}

PrivateSocket::~PrivateSocket() {
  if (own_folder_.empty()) return;
  unlink(path_.c_str());
  rmdir(own_folder_.c_str());
}

void PrivateSocket::RemoveLeftOver(const std::string& address,
                                   const std::string& folder) {
  if (!absl::StartsWith(address, "unix:/")) return;
  const std::string path = address.substr(sizeof("unix:") - 1);
  const std::string own = FolderOf(path);
  const bool has_own = absl::StartsWith(BaseName(own), kFolderName);
  if (!absl::StartsWith(BaseName(path), kName) || !(has_own || own == folder)) {
    return;
  }
  unlink(path.c_str());
  if (has_own) rmdir(own.c_str());
}

}  // namespace caracal
