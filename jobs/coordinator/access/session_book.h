// Who is signed in to the page: short-lived secrets that stand for a token, so
// that a browser need not keep the token itself.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_SESSION_BOOK_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_SESSION_BOOK_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace caracal {

// However long somebody goes on clicking.
inline constexpr absl::Duration kSessionLifetime = absl::Hours(12);

// In memory alone, as SHA-256: after a restart everybody signs in again.
// Times are of Clock::Now. Thread-safe.
class SessionBook {
 public:
  // Of one token; the oldest make room.
  static constexpr size_t kMostOfToken = 16;

  // A new session of the token with this id: 256 bits of randomness, in hex.
  std::string Begin(int64_t token, absl::Duration now);

  // The token that a session stands for; none when there is no such session, or
  // it is over.
  std::optional<int64_t> TokenOf(absl::string_view session,
                                 absl::Duration now) const;

  // Nothing when there is no such session.
  void End(absl::string_view session);

 private:
  struct Session {
    int64_t token = 0;
    absl::Duration ends;
  };

  mutable absl::Mutex mutex_;
  std::map<std::string, Session> sessions_ ABSL_GUARDED_BY(mutex_);  // by hash
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_SESSION_BOOK_H_
