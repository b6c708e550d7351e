// One connection of the page's server, with limits: a client that is slow, or
// gone, or sends without end is let go.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_CONNECTION_H_
#define CARACAL_JOBS_COORDINATOR_WEB_CONNECTION_H_

#include <httplib.h>

#include <functional>
#include <string>

#include "absl/time/time.h"

namespace caracal {

struct ConnectionLimits {
  // From a request's first byte until all of it has come.
  absl::Duration request = absl::Seconds(15);
  // Until one piece of an answer is taken.
  absl::Duration write = absl::Seconds(15);
  // Until another request begins.
  absl::Duration idle = absl::Seconds(3);
  // Whether somebody else wants the thread. Then a client whose request has not
  // come within `grace` is let go at once, so that those who are slow, or mean
  // it, hold nobody up. Null: nobody.
  std::function<bool()> give_way = nullptr;
  absl::Duration grace = absl::Milliseconds(200);
  size_t header_bytes = 64 << 10;
  size_t body_bytes = 3 << 20;  // however encoded
};

// Of one thread. Does not own the socket.
class Connection final : public httplib::Stream {
 public:
  Connection(socket_t socket, const ConnectionLimits& limits)
      : socket_(socket), limits_(limits) {}

  // Until a request begins; false when none does.
  bool AwaitRequest();
  // Its header has been read.
  void AllowBody() { left_ = limits_.body_bytes; }

  bool is_readable() const override { return begin_ < end_ || Wait(true, {}); }
  // False as well when the other side has gone.
  bool is_writable() const override;
  ssize_t read(char* out, size_t size) override;
  // All of it, or -1.
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return socket_; }

 private:
  // Whether the socket is ready within `patience`.
  bool Wait(bool to_read, absl::Duration patience) const;
  // Waits at most `patience`, of which `grace` whoever else waits.
  bool Fill(absl::Duration patience, absl::Duration grace);

  const socket_t socket_;
  const ConnectionLimits limits_;
  absl::Duration deadline_ = absl::ZeroDuration();  // of the request
  size_t left_ = 0;                                 // bytes of it that may come
  char buffer_[8192];
  size_t begin_ = 0, end_ = 0;
  bool gave_way_ = false;  // nothing more is read
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_CONNECTION_H_
