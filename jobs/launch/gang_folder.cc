#include "jobs/launch/gang_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "jobs/launch/gang_processes.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = 1 << 20;  // of claim and end.json
constexpr size_t kCredentialBytes = 32;

absl::Status WriteNewFile(const std::string& path, absl::string_view text) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return ErrnoStatus(errno, "create " + path);
  while (!text.empty()) {
    const ssize_t n = write(file.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "write " + path);
    text.remove_prefix(n);
  }
  if (fsync(file.get()) != 0) return ErrnoStatus(errno, "fsync " + path);
  return absl::OkStatus();
}

struct flock WholeFile() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

absl::string_view ToString(GangPhase phase) {
  switch (phase) {
    case GangPhase::kNotStarted:
      return "not started";
    case GangPhase::kRevoked:
      return "revoked";
    case GangPhase::kRunning:
      return "running";
    case GangPhase::kEnded:
      return "ended";
    case GangPhase::kVanished:
      return "vanished";
  }
  return "unknown";
}

struct GangFolder::Claim {
  bool revoked = false;
  int64_t pid = 0;
  int64_t start_time = 0;
};

std::string GangFolder::File(const char* name) const {
  return JoinPath(path_, name);
}

absl::Status GangFolder::Create(const GangSpec& spec) const {
  const std::string text = GangSpecToJson(spec);
  const absl::StatusOr<GangSpec> again = GangSpecFromJson(text);
  if (!again.ok() || *again != spec) {
    return absl::InvalidArgumentError(absl::StrCat(
        path_, ": spec.json can't hold this gang's spec (not UTF-8?)"));
  }
  if (mkdir(path_.c_str(), 0700) != 0) {
    return ErrnoStatus(errno, "create folder " + path_);
  }
  FileSystem* const files = FileSystem::Posix();
  const std::string credential = RandomHex(kCredentialBytes);
  RETURN_IF_ERROR(WriteNewFile(File("credential"), credential + "\n"));
  RETURN_IF_ERROR(files->WriteFileAtomically(File("spec.json"), text));
  return files->SyncFolder(FolderOf(path_));
}

absl::StatusOr<GangSpec> GangFolder::ReadSpec() const {
  const std::string file = File("spec.json");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  absl::StatusOr<GangSpec> spec = GangSpecFromJson(text);
  if (!spec.ok()) return Annotate(spec.status(), file);
  return spec;
}

absl::StatusOr<std::string> GangFolder::ReadCredential() const {
  const std::string file = File("credential");
  ASSIGN_OR_RETURN(std::string text, FileSystem::Posix()->ReadFile(file));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() != 2 * kCredentialBytes) {
    return absl::DataLossError(file + ": not a credential");
  }
  return text;
}

absl::Status GangFolder::WriteFirstStep(int64_t step) const {
  FileSystem* const files = FileSystem::Posix();
  const std::string file = File("first_step");
  if (files->Exists(file)) return absl::OkStatus();
  return files->WriteFileAtomically(file, absl::StrCat(step, "\n"));
}

absl::StatusOr<int64_t> GangFolder::ReadFirstStep() const {
  const std::string file = File("first_step");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  int64_t step = 0;
  if (!absl::SimpleAtoi(text, &step) || step < 1) {
    return absl::DataLossError(file + ": not the number of a step");
  }
  return step;
}

absl::Status GangFolder::Remove() const {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("remove ", path_, ": ", error.message()));
}

std::optional<int64_t> GangFolder::Bytes() const {
  std::error_code error;
  // Files come and go meanwhile.
  std::filesystem::directory_iterator file(path_, error);
  if (error) return std::nullopt;
  int64_t bytes = 0;
  for (; !error && file != std::filesystem::directory_iterator();
       file.increment(error)) {
    std::error_code gone;
    const auto size = file->file_size(gone);
    if (!gone) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

absl::StatusOr<GangFolder::Claim> GangFolder::ReadClaim() const {
  ASSIGN_OR_RETURN(const std::string text,
                   FileSystem::Posix()->ReadFile(File("claim")));
  Claim claim;
  // Of one that can't be read (a power cut?) the lock tells the rest.
  const absl::StatusOr<nlohmann::json> json = ParseBoundedJson(text, kMaxBytes);
  if (!json.ok() || !json->is_object()) return claim;
  const JsonFields fields(*json);
  const bool read = fields.Get("revoked", &claim.revoked).ok() &&
                    fields.Get("pid", &claim.pid).ok() &&
                    fields.Get("start_time", &claim.start_time).ok();
  return read ? claim : Claim();
}

absl::Status GangFolder::WriteClaim(const std::string& text) const {
  // A name of one's own, also among the threads of a process.
  static std::atomic<int> count{0};
  const std::string temp =
      File("claim.") + absl::StrCat(getpid(), ".", count++);
  unlink(temp.c_str());
  absl::Status status = WriteNewFile(temp, text);
  if (status.ok() && link(temp.c_str(), File("claim").c_str()) != 0) {
    status = ErrnoStatus(errno, "link " + File("claim"));
  }
  unlink(temp.c_str());
  RETURN_IF_ERROR(status);
  return FileSystem::Posix()->SyncFolder(path_);
}

absl::Status GangFolder::Revoke() const {
  if (mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "create folder " + path_);
  }
  const absl::Status status = WriteClaim(Json{{"revoked", true}}.dump() + "\n");
  if (!absl::IsAlreadyExists(status)) return status;
  ASSIGN_OR_RETURN(const Claim claim, ReadClaim());
  if (claim.revoked) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path_, ": a supervisor has claimed this gang"));
}

absl::StatusOr<pid_t> GangFolder::LockHolder() const {
  const std::string file = File("lock");
  const Descriptor lock(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock.is_open()) {
    if (errno == ENOENT) return 0;
    return ErrnoStatus(errno, "open " + file);
  }
  struct flock range = WholeFile();
  if (fcntl(lock.get(), F_GETLK, &range) != 0) {
    return ErrnoStatus(errno, "F_GETLK of " + file);
  }
  if (range.l_type == F_UNLCK) return 0;
  // 0 of a process that is not to be seen from here.
  return range.l_pid > 0 ? range.l_pid : -1;
}

absl::StatusOr<GangEnding> GangFolder::ReadEnd() const {
  const std::string file = File("end.json");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  const absl::StatusOr<nlohmann::json> json = ParseBoundedJson(text, kMaxBytes);
  if (!json.ok()) return Annotate(json.status(), file);
  if (!json->is_object()) {
    return absl::DataLossError(file + ": not one JSON object");
  }
  const JsonFields fields(*json);
  GangEnding ending;
  std::string name, when;
  for (const absl::Status& status :
       {fields.Get("end", &name), fields.Get("message", &ending.message),
        fields.Get("when", &when)}) {
    if (!status.ok()) {
      return absl::DataLossError(absl::StrCat(file, ": ", status.message()));
    }
  }
  std::string ignored;
  absl::ParseTime(absl::RFC3339_full, when, &ending.when, &ignored);
  for (size_t i = 0; i < kGangEnds.size(); ++i) {
    if (name == kGangEnds[i]) {
      ending.end = static_cast<GangEnd>(i);
      return ending;
    }
  }
  return absl::DataLossError(absl::StrCat(file, ": no end of a gang: ", name));
}

absl::StatusOr<GangSight> GangFolder::Inspect() const {
  GangSight sight;
  const absl::StatusOr<Claim> claim = ReadClaim();
  if (absl::IsNotFound(claim.status())) return sight;
  RETURN_IF_ERROR(claim.status());
  if (claim->revoked) {
    sight.phase = GangPhase::kRevoked;
    return sight;
  }
  sight.pid = static_cast<pid_t>(claim->pid);
  sight.start_time = static_cast<uint64_t>(claim->start_time);
  ASSIGN_OR_RETURN(const pid_t holder, LockHolder());
  if (holder != 0) {
    sight.phase = GangPhase::kRunning;
    if (holder != sight.pid ||
        StartTimeOf(holder).value_or(0) != sight.start_time) {
      sight.pid = 0;
    }
    return sight;
  }
  absl::StatusOr<GangEnding> ending = ReadEnd();
  if (ending.ok()) {
    return GangSight{.phase = GangPhase::kEnded, .ending = *std::move(ending)};
  }
  if (absl::IsNotFound(ending.status())) {
    sight.phase = GangPhase::kVanished;
    return sight;
  }
  if (!absl::IsDataLoss(ending.status())) return ending.status();
  // It has ended, and nobody will ever tell how.
  sight.phase = GangPhase::kEnded;
  sight.ending.message = std::string(ending.status().message());
  return sight;
}

absl::Status GangFolder::WriteEnd(const GangEnding& ending) const {
  const Json json = {{"end", NameOf(ending.end)},
                     {"message", ending.message},
                     {"when", absl::FormatTime(absl::RFC3339_full, ending.when,
                                               absl::UTCTimeZone())}};
  return FileSystem::Posix()->WriteFileAtomically(
      File("end.json"),
      json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

absl::StatusOr<GangClaim> GangClaim::Take(const GangFolder& folder) {
  const std::string file = folder.File("lock");
  Descriptor lock(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return ErrnoStatus(errno, "open " + file);
  struct flock range = WholeFile();
  if (fcntl(lock.get(), F_SETLK, &range) != 0) {
    if (errno == EAGAIN || errno == EACCES) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder.path(), ": another supervisor runs this gang"));
    }
    return ErrnoStatus(errno, "F_SETLK of " + file);
  }
  ASSIGN_OR_RETURN(const uint64_t start_time, StartTimeOf(getpid()));
  const absl::Status status = folder.WriteClaim(
      Json{{"pid", getpid()}, {"start_time", start_time}}.dump() + "\n");
  if (absl::IsAlreadyExists(status)) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder.path(), ": this gang was revoked, or has run already"));
  }
  RETURN_IF_ERROR(status);
  return GangClaim(std::move(lock), start_time);
}

}  // namespace caracal
