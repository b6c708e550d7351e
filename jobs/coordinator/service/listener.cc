#include "jobs/coordinator/service/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "jobs/coordinator/access/loopback.h"

namespace caracal {
namespace {

constexpr rlim_t kMostDescriptors = 65536;
// As gRPC sets it on its own sockets, with a keep-alive time.
constexpr int kUserTimeoutMs = 20'000;
// After an error that comes of a lack of something.
constexpr int kPauseMs = 50;
// How long a refusal counts as how things are, and is not told again.
constexpr absl::Duration kNow = absl::Seconds(5);

absl::Status CantListen(const std::string& address, int error) {
  std::string why = std::strerror(error);
  if (error == EADDRINUSE) {
    why = "is another caracald running? --listen names another address";
  } else if (error == EACCES && !absl::StartsWith(address, "unix:")) {
    absl::StrAppend(&why, ": ports below 1024 are the system's");
  }
  return absl::FailedPreconditionError(
      absl::StrCat("can't listen on ", address, ": ", why));
}

// Bound and listening; closed, with errno, where that is not possible.
Descriptor Listen(const sockaddr* address, socklen_t size) {
  Descriptor out(socket(address->sa_family,
                        SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.is_open()) return out;
  const int yes = 1, no = 0;
  if (address->sa_family != AF_UNIX) {
    setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  }
  if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    const bool all = IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
    setsockopt(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, all ? &no : &yes,
               sizeof(int));
  }
  if (bind(out.get(), address, size) != 0 ||
      listen(out.get(), SOMAXCONN) != 0) {
    const int error = errno;
    out.Close();
    errno = error;
  }
  return out;
}

int PortOf(int socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                   : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

void SetPort(sockaddr* address, int port) {
  const auto in_order = htons(static_cast<uint16_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = in_order;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = in_order;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(
    const std::string& address) {
  std::unique_ptr<Listener> out(new Listener);
  out->wake_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!out->wake_.is_open()) return ErrnoStatus(errno, "eventfd");
  absl::string_view path = address;
  RETURN_IF_ERROR(absl::ConsumePrefix(&path, "unix:")
                      ? out->OpenUnix(std::string(path))
                      : out->OpenTcp(address));
  return out;
}

absl::Status Listener::OpenUnix(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("can't listen on unix:", path, ": a path of 1 to ",
                     sizeof(address.sun_path) - 1, " bytes is expected"));
  }
  std::copy(path.begin(), path.end(), address.sun_path);
  // Of a process that was killed.
  struct stat info;
  if (lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    unlink(path.c_str());
  }
  Descriptor socket =
      Listen(reinterpret_cast<sockaddr*>(&address), sizeof(address));
  if (!socket.is_open()) return CantListen("unix:" + path, errno);
  path_ = path;
  sockets_.push_back(std::move(socket));
  return absl::OkStatus();
}

absl::Status Listener::OpenTcp(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("can't listen on '", address, "': HOST:PORT is expected"));
  }
  std::string host = HostOf(address);
  if (host == "0.0.0.0" || host == "::") {
    sockaddr_in6 all = {};
    all.sin6_family = AF_INET6;
    all.sin6_port = htons(static_cast<uint16_t>(port));
    Descriptor socket = Listen(reinterpret_cast<sockaddr*>(&all), sizeof(all));
    if (socket.is_open()) {
      port_ = PortOf(socket.get());
      sockets_.push_back(std::move(socket));
      return absl::OkStatus();
    }
    // A machine without IPv6 has IPv4 alone.
    if (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) {
      return CantListen(address, errno);
    }
    host = "0.0.0.0";
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("can't listen on ", address, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found,
                                                                 freeaddrinfo);
  int failed = EADDRNOTAVAIL;
  std::vector<std::string> seen;  // a file of hosts may say the same twice
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const std::string same(reinterpret_cast<const char*>(one->ai_addr),
                           one->ai_addrlen);
    if (std::find(seen.begin(), seen.end(), same) != seen.end()) continue;
    seen.push_back(same);
    // All of them on one port.
    SetPort(one->ai_addr, port_ != 0 ? port_ : port);
    Descriptor socket = Listen(one->ai_addr, one->ai_addrlen);
    if (socket.is_open()) {
      port_ = PortOf(socket.get());
      sockets_.push_back(std::move(socket));
    } else if (failed = errno; failed == EADDRINUSE) {
      break;
    }
  }
  if (sockets_.empty() || failed == EADDRINUSE) {
    return CantListen(address, failed);
  }
  return absl::OkStatus();
}

Listener::~Listener() {
  if (thread_.joinable()) {
    eventfd_write(wake_.get(), 1);
    thread_.join();
  }
  if (!path_.empty()) unlink(path_.c_str());
}

void Listener::Start(std::unique_ptr<Acceptor> acceptor, int most) {
  acceptor_ = std::move(acceptor);
  most_ = most;
  if (most_ == 0) {
    rlimit limit = {};
    getrlimit(RLIMIT_NOFILE, &limit);
    most_ = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 30) / 4 * 3);
  }
  thread_ = std::thread([this] { Run(); });
}

void Listener::Run() {
  std::vector<pollfd> waiting = {{wake_.get(), POLLIN, 0}};
  for (const Descriptor& socket : sockets_) {
    waiting.push_back({socket.get(), POLLIN, 0});
  }
  while (true) {
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;  // EINTR
    if (waiting[0].revents != 0) return;
    for (size_t i = 1; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      // One at a time: those of the other sockets have their turn.
      if (AcceptOne(waiting[i].fd)) continue;
      // Else it would be asked again at once.
      if (poll(waiting.data(), 1, kPauseMs) > 0) return;
    }
  }
}

bool Listener::AcceptOne(int listening) {
  Descriptor socket(
      accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!socket.is_open()) {
    const int error = errno;
    if (error == EMFILE || error == ENFILE || error == ENOBUFS ||
        error == ENOMEM) {
      Refused(std::strerror(error));
      return false;
    }
    // The other side has gone: that is its business.
    return true;
  }
  // The lowest number that is free is given out.
  if (socket.get() >= most_) {
    Refused(absl::StrCat(most_, " files and connections are open"));
    return true;
  }
  const int yes = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  setsockopt(socket.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs,
             sizeof(kUserTimeoutMs));
  Acceptor::NewConnectionParameters connection;
  connection.listener_fd = listening;
  connection.fd = socket.Release();
  acceptor_->HandleNewConnection(&connection);
  return true;
}

void Listener::Refused(const std::string& why) {
  const absl::Duration now = Clock::Real()->Now();
  {
    absl::MutexLock lock(&mutex_);
    const bool told = !refused_.empty() && now - refused_at_ < kNow;
    refused_ = absl::StrCat("connections are sent away: ", why);
    refused_at_ = now;
    if (told) return;
  }
  std::clog << absl::StrCat("caracald: connections are sent away: ", why, "\n")
            << std::flush;
}

absl::Status Listener::Health() const {
  absl::MutexLock lock(&mutex_);
  if (refused_.empty() || Clock::Real()->Now() - refused_at_ >= kNow) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(refused_);
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t most = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur >= most) return;
  limit.rlim_cur = most;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace caracal
