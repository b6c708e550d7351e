// The tokens of a coordinator, in memory: every call looks here.
#ifndef CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_BOOK_H_
#define CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_BOOK_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "jobs/coordinator/access/token.h"

namespace caracal {

// Thread-safe. The store comes first: what is put in here is durable.
class TokenBook {
 public:
  // Told which token was used when, at most once a minute for each.
  using Used = std::function<void(int64_t id, absl::Time when)>;

  explicit TokenBook(std::vector<TokenRecord> records = {})
      : records_(std::move(records)) {}
  // Before the first call that uses a token.
  void OnUse(Used used) { on_use_ = std::move(used); }

  // Whose token this is. kUnauthenticated for one that is unknown, revoked or
  // expired: the message says which, never the token.
  absl::StatusOr<TokenRecord> Find(absl::string_view token, absl::Time now);
  // The same by its id.
  absl::StatusOr<TokenRecord> FindById(int64_t id, absl::Time now);

  // No token was ever made.
  bool empty() const;

  // Why this one can't be made now: kInvalidArgument (name),
  // kFailedPrecondition (the first has to be an admin's), kAlreadyExists (the
  // user has one, perhaps by this very call, and has used it, or the key was
  // used for another), kResourceExhausted (too
  // many). Not for two threads at once with what follows. OK for one that was
  // MadeBefore.
  absl::Status CheckNew(const TokenRecord& record, absl::Time now) const;
  // The token that was made by the same call, known by its key and by whom it
  // is from, if it is valid and nobody has used it: whoever asked has not heard
  // of it.
  std::optional<TokenRecord> MadeBefore(const TokenRecord& record,
                                        absl::Time now) const;
  // Another token in the place of the one with this id.
  void Replace(int64_t id, const std::string& hash);
  void Add(const TokenRecord& record);
  // The valid token of a user.
  std::optional<TokenRecord> Of(absl::string_view name, absl::Time now) const;
  void Revoke(int64_t id, absl::Time when, const std::string& key = "");
  // The token that a call with this key has revoked.
  std::optional<TokenRecord> RevokedBy(absl::string_view key) const;
  // Why nothing can be revoked of a user without a valid token: kNotFound.
  absl::Status NothingToRevoke(absl::string_view name) const;
  // No other admin has a valid one.
  bool IsLastAdmin(const TokenRecord& record, absl::Time now) const;

  std::vector<TokenRecord> All() const;

 private:
  // As of Find, of the record that `is` says it is; looks at all of them, so
  // that how long it takes tells nothing.
  template <typename Is>
  absl::StatusOr<TokenRecord> FindThat(Is is, absl::Time now);

  Used on_use_;
  mutable absl::Mutex mutex_;
  std::vector<TokenRecord> records_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_ACCESS_TOKEN_BOOK_H_
