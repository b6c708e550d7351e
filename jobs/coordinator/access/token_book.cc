#include "jobs/coordinator/access/token_book.h"

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

constexpr absl::Duration kUsedEvery = absl::Minutes(1);
// Every call goes through all of them.
constexpr size_t kMostTokens = 4096;

}  // namespace

template <typename Is>
absl::StatusOr<TokenRecord> TokenBook::FindThat(Is is, absl::Time now) {
  std::optional<TokenRecord> found;
  bool tell = false;
  {
    absl::MutexLock lock(&mutex_);
    for (TokenRecord& record : records_) {
      if (!is(record)) continue;
      if (record.IsValid(now) &&
          (!record.used.has_value() || now - *record.used >= kUsedEvery)) {
        record.used = now;
        tell = true;
      }
      found = record;
    }
  }
  if (!found.has_value()) {
    return absl::UnauthenticatedError(
        "the token is not known here: ask an admin for one (caracal token "
        "create)");
  }
  if (found->revoked.has_value()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token of ", found->name, " was revoked"));
  }
  if (!found->IsValid(now)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token of ", found->name, " expired at ",
                     absl::FormatTime("%Y-%m-%d %H:%M UTC", *found->expires,
                                      absl::UTCTimeZone()),
                     ": ask an admin for another one"));
  }
  if (tell && on_use_) on_use_(found->id, now);
  return *found;
}

absl::StatusOr<TokenRecord> TokenBook::Find(absl::string_view token,
                                            absl::Time now) {
  const std::string hash = HashOfToken(token);
  return FindThat(
      [&](const TokenRecord& r) { return SameSecret(r.hash, hash); }, now);
}

absl::StatusOr<TokenRecord> TokenBook::FindById(int64_t id, absl::Time now) {
  return FindThat([&](const TokenRecord& r) { return r.id == id; }, now);
}

bool TokenBook::empty() const {
  absl::MutexLock lock(&mutex_);
  return records_.empty();
}

namespace {

bool HasKeyOf(const TokenRecord& known, const TokenRecord& record) {
  return !record.key.empty() && known.key == record.key &&
         known.created_by == record.created_by;
}

bool IsSameRequest(const TokenRecord& a, const TokenRecord& b) {
  return a.name == b.name && a.role == b.role && a.expires == b.expires;
}

}  // namespace

std::optional<TokenRecord> TokenBook::MadeBefore(const TokenRecord& record,
                                                 absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  for (const TokenRecord& known : records_) {
    if (HasKeyOf(known, record) && IsSameRequest(known, record) &&
        known.IsValid(now) && !known.used.has_value()) {
      return known;
    }
  }
  return std::nullopt;
}

void TokenBook::Replace(int64_t id, const std::string& hash) {
  absl::MutexLock lock(&mutex_);
  for (TokenRecord& record : records_) {
    if (record.id == id) record.hash = hash;
  }
}

absl::Status TokenBook::CheckNew(const TokenRecord& record,
                                 absl::Time now) const {
  if (!IsUserName(record.name)) {
    return absl::InvalidArgumentError(
        "name: expected 1 to 64 letters, digits and ._-@, neither a dot nor a "
        "dash first");
  }
  if (record.expires.has_value() && *record.expires <= now) {
    return absl::InvalidArgumentError("expires: is not in the future");
  }
  if (MadeBefore(record, now).has_value()) return absl::OkStatus();
  if (const auto has = Of(record.name, now); has.has_value()) {
    return absl::AlreadyExistsError(
        HasKeyOf(*has, record) && IsSameRequest(*has, record)
            ? absl::StrCat("this call has made the token of ", record.name,
                           " before, and it was used since: revoke it to make "
                           "another one")
            : absl::StrCat(record.name, " has a token: revoke it first"));
  }
  absl::MutexLock lock(&mutex_);
  for (const TokenRecord& known : records_) {
    if (!HasKeyOf(known, record)) continue;
    return absl::AlreadyExistsError(absl::StrCat(
        "the idempotency key was used for a token of ", known.name,
        IsSameRequest(known, record) ? ", which is not valid any more"
                                     : ", which is another one"));
  }
  if (records_.empty() && record.role != Role::kAdmin) {
    return absl::FailedPreconditionError(
        "the first token has to be an admin's: from then on every call needs "
        "one");
  }
  if (records_.size() >= kMostTokens) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "there are ", records_.size(), " tokens, and no more are taken"));
  }
  return absl::OkStatus();
}

void TokenBook::Add(const TokenRecord& record) {
  absl::MutexLock lock(&mutex_);
  records_.push_back(record);
}

std::optional<TokenRecord> TokenBook::Of(absl::string_view name,
                                         absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  for (const TokenRecord& record : records_) {
    if (record.name == name && record.IsValid(now)) return record;
  }
  return std::nullopt;
}

void TokenBook::Revoke(int64_t id, absl::Time when, const std::string& key) {
  absl::MutexLock lock(&mutex_);
  for (TokenRecord& record : records_) {
    if (record.id != id) continue;
    record.revoked = when;
    record.revoke_key = key;
  }
}

std::optional<TokenRecord> TokenBook::RevokedBy(absl::string_view key) const {
  if (key.empty()) return std::nullopt;
  absl::MutexLock lock(&mutex_);
  for (const TokenRecord& record : records_) {
    if (record.revoke_key == key) return record;
  }
  return std::nullopt;
}

absl::Status TokenBook::NothingToRevoke(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  std::string why;
  for (const TokenRecord& record : records_) {
    if (record.name != name) continue;
    const auto& end =
        record.revoked.has_value() ? record.revoked : record.expires;
    if (!end.has_value()) continue;
    why = absl::StrCat(
        ": it ", record.revoked.has_value() ? "was revoked" : "expired", " at ",
        absl::FormatTime("%Y-%m-%d %H:%M UTC", *end, absl::UTCTimeZone()));
  }
  return absl::NotFoundError(absl::StrCat(
      IsUserName(name) ? name : "this user",
      why.empty() ? " never had a token" : " has no valid token", why));
}

bool TokenBook::IsLastAdmin(const TokenRecord& record, absl::Time now) const {
  if (record.role != Role::kAdmin) return false;
  absl::MutexLock lock(&mutex_);
  for (const TokenRecord& other : records_) {
    if (other.id != record.id && other.role == Role::kAdmin &&
        other.IsValid(now)) {
      return false;
    }
  }
  return true;
}

std::vector<TokenRecord> TokenBook::All() const {
  absl::MutexLock lock(&mutex_);
  return records_;
}

}  // namespace caracal
