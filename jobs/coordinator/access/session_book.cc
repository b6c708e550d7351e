#include "jobs/coordinator/access/session_book.h"

#include "core/base/random.h"
#include "jobs/coordinator/access/token.h"

namespace caracal {
namespace {

constexpr size_t kBytes = 32;

}  // namespace

std::string SessionBook::Begin(int64_t token, absl::Duration now) {
  std::string session = RandomHex(kBytes);
  const std::string hash = HashOfToken(session);
  absl::MutexLock lock(&mutex_);
  std::erase_if(sessions_,
                [&](const auto& entry) { return entry.second.ends <= now; });
  size_t count = 0;
  auto oldest = sessions_.end();
  for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
    if (it->second.token != token) continue;
    ++count;
    if (oldest == sessions_.end() || it->second.ends < oldest->second.ends) {
      oldest = it;
    }
  }
  if (count >= kMostOfToken) sessions_.erase(oldest);
  sessions_[hash] = {token, now + kSessionLifetime};
  return session;
}

std::optional<int64_t> SessionBook::TokenOf(absl::string_view session,
                                            absl::Duration now) const {
  const std::string hash = HashOfToken(session);
  absl::MutexLock lock(&mutex_);
  const auto found = sessions_.find(hash);
  if (found == sessions_.end() || found->second.ends <= now) {
    return std::nullopt;
  }
  return found->second.token;
}

void SessionBook::End(absl::string_view session) {
  const std::string hash = HashOfToken(session);
  absl::MutexLock lock(&mutex_);
  sessions_.erase(hash);
}

}  // namespace caracal
