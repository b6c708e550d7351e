// For tests: a file system in memory that runs out of space, or loses power,
// when told to.
#ifndef CARACAL_CORE_BASE_FAULT_FILE_SYSTEM_H_
#define CARACAL_CORE_BASE_FAULT_FILE_SYSTEM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/base/file_system.h"

namespace caracal {

// Thread-safe. Paths are compared as written (but for slashes at the end); a
// file can only be made in a folder that was made before ("/" and "." are
// there).
//
// It knows what a disk would: the bytes of a file are durable once the file
// was synced (by CommitFile or WriteFileAtomically), a name once its folder
// was. CreateFolder is durable, as its contract says.
//
// Each change is a step: creating, writing, truncating, syncing, renaming,
// removing. WriteFileAtomically makes five of them, CommitFile three.
class FaultFileSystem : public FileSystem {
 public:
  FaultFileSystem();

  // Steps tried so far, failed ones included.
  int64_t steps() const;

  // After n more steps that need space, every further one fails with
  // kResourceExhausted; the first to fail still writes half of its bytes.
  // Negative: never.
  void RunOutOfSpaceAfter(int64_t n);
  // After n more steps, every further one fails with kAborted and changes
  // nothing, as if the process had been stopped. Negative: never.
  void StopAfter(int64_t n);

  // What of the changes that were not synced is there after a crash.
  enum class Unsynced {
    kLost,       // nothing: the power failed
    kNamesKept,  // names, but not bytes: a file may be short or empty
    kKept,       // everything: only the process died
  };
  // Keeps what would be on the disk, and ends all faults. Files that are open
  // fail from now on.
  void Crash(Unsynced unsynced);

  // Damages a file in place, durably: inverts the bits `mask` of one byte.
  void FlipBits(const std::string& path, uint64_t offset, uint8_t mask);

  absl::StatusOr<std::unique_ptr<MappedFile>> Map(
      const std::string& path) override;
  absl::StatusOr<std::string> ReadFile(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Open(
      const std::string& path) override;
  absl::StatusOr<std::unique_ptr<RandomAccessFile>> Create(
      const std::string& path) override;
  absl::Status WriteFileAtomically(const std::string& path,
                                   absl::string_view contents) override;
  absl::Status CommitFile(const std::string& temp,
                          const std::string& path) override;
  absl::Status Append(const std::string& path,
                      absl::string_view contents) override;
  absl::Status Truncate(const std::string& path, uint64_t bytes) override;
  absl::Status CreateFolder(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsFolder(const std::string& path) override;
  absl::StatusOr<uint64_t> FileSize(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;

 private:
  friend class FaultRandomAccessFile;

  struct Node {
    std::string data;
    std::string durable;
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  // All of these under the mutex.
  absl::Status Step(absl::string_view what, const std::string& path);
  absl::Status WriteNode(Node* node, uint64_t offset, absl::string_view bytes,
                         const std::string& path);
  absl::StatusOr<std::shared_ptr<Node>> Find(const std::string& path) const;
  absl::StatusOr<std::shared_ptr<Node>> CreateNode(const std::string& path);
  absl::Status Commit(const std::string& temp, const std::string& path);
  absl::Status SyncNames(const std::string& folder);

  mutable std::mutex mutex_;  // of all that follows
  Names files_;
  Names durable_files_;
  std::set<std::string> folders_;
  std::set<std::string> durable_folders_;
  int64_t steps_ = 0;
  int64_t steps_until_stop_ = -1;
  int64_t steps_until_full_ = -1;
  int64_t crashes_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_FAULT_FILE_SYSTEM_H_
