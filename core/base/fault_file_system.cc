#include "core/base/fault_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/status.h"

namespace caracal {
namespace {

std::string Trim(absl::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return std::string(path);
}

class CopiedFile : public MappedFile {
 public:
  explicit CopiedFile(std::string data) : data_(std::move(data)) {}
  const uint8_t* data() const override {
    return reinterpret_cast<const uint8_t*>(data_.data());
  }
  size_t size() const override { return data_.size(); }

 private:
  const std::string data_;
};

}  // namespace

class FaultRandomAccessFile : public RandomAccessFile {
 public:
  FaultRandomAccessFile(FaultFileSystem* file_system,
                        std::shared_ptr<FaultFileSystem::Node> node,
                        const std::string& path, int64_t crashes)
      : file_system_(file_system),
        node_(std::move(node)),
        path_(path),
        crashes_(crashes) {}

  absl::StatusOr<size_t> ReadAt(uint64_t offset, size_t bytes,
                                void* out) override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    RETURN_IF_ERROR(CheckOpen("read"));
    const std::string& data = node_->data;
    if (offset >= data.size()) return size_t{0};
    const size_t n = std::min<uint64_t>(bytes, data.size() - offset);
    std::memcpy(out, data.data() + offset, n);
    return n;
  }

  absl::Status WriteAt(uint64_t offset, absl::string_view bytes) override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    RETURN_IF_ERROR(CheckOpen("write"));
    return file_system_->WriteNode(node_.get(), offset, bytes, path_);
  }

  absl::StatusOr<uint64_t> Size() override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    RETURN_IF_ERROR(CheckOpen("stat"));
    return node_->data.size();
  }

  absl::Status Truncate(uint64_t bytes) override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    RETURN_IF_ERROR(CheckOpen("truncate"));
    RETURN_IF_ERROR(file_system_->Step("truncate", path_));
    node_->data.resize(bytes);
    return absl::OkStatus();
  }

  absl::Status Close() override {
    const std::lock_guard<std::mutex> lock(file_system_->mutex_);
    const absl::Status status =
        node_ == nullptr ? absl::OkStatus() : CheckOpen("close");
    node_ = nullptr;
    return status;
  }

 private:
  absl::Status CheckOpen(absl::string_view what) const {
    if (node_ != nullptr && crashes_ == file_system_->crashes_) {
      return absl::OkStatus();
    }
    return ErrnoStatus(EBADF, absl::StrCat(what, " ", path_));
  }

  FaultFileSystem* const file_system_;
  std::shared_ptr<FaultFileSystem::Node> node_;
  const std::string path_;
  const int64_t crashes_;
};

FaultFileSystem::FaultFileSystem()
    : folders_({"/", "."}), durable_folders_(folders_) {}

int64_t FaultFileSystem::steps() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return steps_;
}

void FaultFileSystem::RunOutOfSpaceAfter(int64_t n) {
  const std::lock_guard<std::mutex> lock(mutex_);
  steps_until_full_ = n;
}

void FaultFileSystem::StopAfter(int64_t n) {
  const std::lock_guard<std::mutex> lock(mutex_);
  steps_until_stop_ = n;
}

void FaultFileSystem::Crash(Unsynced unsynced) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++crashes_;
  steps_until_full_ = -1;
  steps_until_stop_ = -1;
  if (unsynced == Unsynced::kLost) {
    files_ = durable_files_;
    folders_ = durable_folders_;
  }
  for (auto& [path, node] : files_) {
    if (unsynced == Unsynced::kKept) {
      node->durable = node->data;
    } else {
      node->data = node->durable;
    }
  }
  durable_files_ = files_;
  durable_folders_ = folders_;
}

void FaultFileSystem::FlipBits(const std::string& path, uint64_t offset,
                               uint8_t mask) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = files_.find(Trim(path));
  CARACAL_CHECK(found != files_.end()) << path;
  Node& node = *found->second;
  CARACAL_CHECK(offset < node.data.size()) << path << " " << offset;
  node.data[offset] ^= static_cast<char>(mask);
  node.durable = node.data;
}

absl::Status FaultFileSystem::Step(absl::string_view what,
                                   const std::string& path) {
  ++steps_;
  if (steps_until_stop_ == 0) {
    return absl::AbortedError(
        absl::StrCat(what, " ", path, ": the process was stopped"));
  }
  if (steps_until_stop_ > 0) --steps_until_stop_;
  return absl::OkStatus();
}

absl::Status FaultFileSystem::WriteNode(Node* node, uint64_t offset,
                                        absl::string_view bytes,
                                        const std::string& path) {
  RETURN_IF_ERROR(Step("write", path));
  const bool full = steps_until_full_ == 0;
  if (steps_until_full_ > 0) --steps_until_full_;
  if (full) bytes = bytes.substr(0, bytes.size() / 2);
  if (!bytes.empty()) {
    node->data.resize(
        std::max<uint64_t>(node->data.size(), offset + bytes.size()));
    std::memcpy(node->data.data() + offset, bytes.data(), bytes.size());
  }
  return full ? ErrnoStatus(ENOSPC, "write " + path) : absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<FaultFileSystem::Node>> FaultFileSystem::Find(
    const std::string& path) const {
  if (folders_.count(path) > 0) {
    return absl::InvalidArgumentError(path + ": is a folder, not a file");
  }
  const auto found = files_.find(path);
  if (found == files_.end()) return ErrnoStatus(ENOENT, "open " + path);
  return found->second;
}

absl::StatusOr<std::shared_ptr<FaultFileSystem::Node>>
FaultFileSystem::CreateNode(const std::string& path) {
  RETURN_IF_ERROR(Step("create", path));
  if (folders_.count(FolderOf(path)) == 0) {
    return ErrnoStatus(ENOENT, "create " + path);
  }
  if (folders_.count(path) > 0) return ErrnoStatus(EISDIR, "create " + path);
  std::shared_ptr<Node>& node = files_[path];
  if (node == nullptr) node = std::make_shared<Node>();
  node->data.clear();
  return node;
}

absl::Status FaultFileSystem::SyncNames(const std::string& folder) {
  RETURN_IF_ERROR(Step("sync", folder));
  if (folders_.count(folder) == 0) return ErrnoStatus(ENOENT, "open " + folder);
  const auto in_folder = [&folder](const std::string& path) {
    return path != folder && FolderOf(path) == folder;
  };
  std::erase_if(durable_files_,
                [&](const auto& entry) { return in_folder(entry.first); });
  for (const auto& entry : files_) {
    if (in_folder(entry.first)) durable_files_.insert(entry);
  }
  std::erase_if(durable_folders_, in_folder);
  for (const std::string& path : folders_) {
    if (in_folder(path)) durable_folders_.insert(path);
  }
  return absl::OkStatus();
}

absl::Status FaultFileSystem::Commit(const std::string& temp,
                                     const std::string& path) {
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(temp));
  RETURN_IF_ERROR(Step("fsync", temp));
  node->durable = node->data;
  RETURN_IF_ERROR(Step("rename", temp));
  if (folders_.count(path) > 0) return ErrnoStatus(EISDIR, "rename " + temp);
  files_.erase(temp);
  files_[path] = node;
  return SyncNames(FolderOf(path));
}

absl::StatusOr<std::unique_ptr<MappedFile>> FaultFileSystem::Map(
    const std::string& path) {
  ASSIGN_OR_RETURN(std::string data, ReadFile(path));
  return std::unique_ptr<MappedFile>(
      std::make_unique<CopiedFile>(std::move(data)));
}

absl::StatusOr<std::string> FaultFileSystem::ReadFile(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(Trim(path)));
  return node->data;
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> FaultFileSystem::Open(
    const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(std::shared_ptr<Node> node, Find(Trim(path)));
  return std::unique_ptr<RandomAccessFile>(
      std::make_unique<FaultRandomAccessFile>(this, std::move(node), path,
                                              crashes_));
}

absl::StatusOr<std::unique_ptr<RandomAccessFile>> FaultFileSystem::Create(
    const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(std::shared_ptr<Node> node, CreateNode(Trim(path)));
  return std::unique_ptr<RandomAccessFile>(
      std::make_unique<FaultRandomAccessFile>(this, std::move(node), path,
                                              crashes_));
}

absl::Status FaultFileSystem::WriteFileAtomically(const std::string& path,
                                                  absl::string_view contents) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string final_path = Trim(path);
  const std::string temp = final_path + ".tmp";
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, CreateNode(temp));
  absl::Status status = WriteNode(node.get(), 0, contents, temp);
  if (status.ok()) status = Commit(temp, final_path);
  if (!status.ok() && Step("remove", temp).ok()) files_.erase(temp);
  return status;
}

absl::Status FaultFileSystem::CommitFile(const std::string& temp,
                                         const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Commit(Trim(temp), Trim(path));
}

absl::Status FaultFileSystem::Append(const std::string& path,
                                     absl::string_view contents) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string trimmed = Trim(path);
  absl::StatusOr<std::shared_ptr<Node>> node = Find(trimmed);
  if (absl::IsNotFound(node.status())) node = CreateNode(trimmed);
  RETURN_IF_ERROR(node.status());
  return WriteNode(node->get(), (*node)->data.size(), contents, path);
}

absl::Status FaultFileSystem::Truncate(const std::string& path,
                                       uint64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(Trim(path)));
  RETURN_IF_ERROR(Step("truncate", path));
  node->data.resize(bytes);
  return absl::OkStatus();
}

absl::Status FaultFileSystem::CreateFolder(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::string folder = Trim(path); folders_.count(folder) == 0;
       folder = FolderOf(folder)) {
    if (files_.count(folder) > 0) {
      return ErrnoStatus(ENOTDIR, "create folder " + folder);
    }
    RETURN_IF_ERROR(Step("create folder", folder));
    folders_.insert(folder);
    durable_folders_.insert(folder);
  }
  return absl::OkStatus();
}

bool FaultFileSystem::Exists(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string trimmed = Trim(path);
  return files_.count(trimmed) > 0 || folders_.count(trimmed) > 0;
}

bool FaultFileSystem::IsFolder(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return folders_.count(Trim(path)) > 0;
}

absl::StatusOr<uint64_t> FaultFileSystem::FileSize(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(Trim(path)));
  return node->data.size();
}

absl::StatusOr<std::vector<std::string>> FaultFileSystem::List(
    const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string folder = Trim(path);
  if (folders_.count(folder) == 0) return ErrnoStatus(ENOENT, "list " + path);
  std::vector<std::string> names;
  for (const auto& entry : files_) {
    if (FolderOf(entry.first) == folder) names.push_back(BaseName(entry.first));
  }
  for (const std::string& other : folders_) {
    if (other != folder && other != "." && FolderOf(other) == folder) {
      names.push_back(BaseName(other));
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status FaultFileSystem::Remove(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string trimmed = Trim(path);
  if (folders_.count(trimmed) > 0) return ErrnoStatus(EISDIR, "remove " + path);
  RETURN_IF_ERROR(Step("remove", path));
  files_.erase(trimmed);
  return absl::OkStatus();
}

absl::Status FaultFileSystem::RemoveFolder(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::string folder = Trim(path);
  if (files_.count(folder) > 0) {
    return ErrnoStatus(ENOTDIR, "remove folder " + path);
  }
  const auto inside = [&folder](const std::string& other) {
    return other != folder && FolderOf(other) == folder;
  };
  const bool empty =
      std::none_of(files_.begin(), files_.end(),
                   [&](const auto& entry) { return inside(entry.first); }) &&
      std::none_of(folders_.begin(), folders_.end(), inside);
  if (!empty) return ErrnoStatus(ENOTEMPTY, "remove folder " + path);
  RETURN_IF_ERROR(Step("remove folder", path));
  folders_.erase(folder);
  return absl::OkStatus();
}

absl::Status FaultFileSystem::SyncFolder(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return SyncNames(Trim(path));
}

}  // namespace caracal
