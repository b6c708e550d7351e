#include "jobs/coordinator/web/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/clock.h"

namespace caracal {

namespace {

// How often it is asked who else waits.
constexpr absl::Duration kLook = absl::Milliseconds(50);

}  // namespace

bool Connection::Wait(bool to_read, absl::Duration patience) const {
  const absl::Duration until = Clock::Real()->Now() + patience;
  while (true) {
    pollfd entry = {socket_, static_cast<short>(to_read ? POLLIN : POLLOUT), 0};
    const absl::Duration left =
        std::max(until - Clock::Real()->Now(), absl::Duration());
    const int got = poll(&entry, 1,
                         static_cast<int>(absl::ToInt64Milliseconds(
                             absl::Ceil(left, absl::Milliseconds(1)))));
    if (got > 0) return true;  // what is wrong with it, the call will tell
    if (got == 0 || errno != EINTR) return false;
  }
}

bool Connection::Fill(absl::Duration patience, absl::Duration grace) {
  if (gave_way_) return false;
  Clock* const clock = Clock::Real();
  const absl::Duration begin = clock->Now(), until = begin + patience;
  while (!Wait(true, std::min(until - clock->Now(), kLook))) {
    const absl::Duration now = clock->Now();
    if (now >= until) return false;
    if (now - begin >= grace && limits_.give_way && limits_.give_way()) {
      gave_way_ = true;
      return false;
    }
  }
  const ssize_t got = recv(socket_, buffer_, sizeof(buffer_), 0);
  if (got <= 0) return false;
  begin_ = 0;
  end_ = static_cast<size_t>(got);
  return true;
}

bool Connection::AwaitRequest() {
  if (begin_ == end_ && !Fill(limits_.idle, absl::ZeroDuration())) return false;
  deadline_ = Clock::Real()->Now() + limits_.request;
  left_ = limits_.header_bytes;
  return true;
}

bool Connection::is_writable() const {
  if (!Wait(false, {})) return false;
  // Readable without anything to read: the other side has hung up.
  char byte;
  const ssize_t got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

ssize_t Connection::read(char* out, size_t size) {
  if (left_ == 0) return -1;
  if (begin_ == end_) {
    const absl::Duration patience = deadline_ - Clock::Real()->Now();
    // Of the request, of which some may have come.
    const absl::Duration grace = limits_.grace - (limits_.request - patience);
    if (patience <= absl::ZeroDuration() || !Fill(patience, grace)) return -1;
  }
  const size_t n = std::min({size, end_ - begin_, left_});
  std::memcpy(out, buffer_ + begin_, n);
  begin_ += n;
  left_ -= n;
  return static_cast<ssize_t>(n);
}

ssize_t Connection::write(const char* data, size_t size) {
  const absl::Duration until = Clock::Real()->Now() + limits_.write;
  size_t sent = 0;
  while (sent < size) {
    if (!Wait(false, until - Clock::Real()->Now())) return -1;
    const ssize_t got =
        send(socket_, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (got > 0) {
      sent += static_cast<size_t>(got);
    } else if (got < 0 && errno != EAGAIN && errno != EINTR) {
      return -1;
    }
    if (Clock::Real()->Now() > until && sent < size) return -1;
  }
  return static_cast<ssize_t>(size);
}

}  // namespace caracal
