// File: opening, closing, names. Datasets and attributes have their own files.
#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hdf5/library.h"

namespace caracal::hdf5 {

using internal::FileState;
using internal::Handle;
using internal::LibraryLock;

namespace {

// File-access properties: our driver on the file's storage; whatever is open
// inside a file closes with it; the newest format, for its checksums.
Handle NewFileProperties(FileState* file) {
  Handle properties(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  internal::UseStorage(properties.get(), &file->storage);
  H5Pset_fclose_degree(properties.get(), H5F_CLOSE_STRONG);
  H5Pset_libver_bounds(properties.get(), H5F_LIBVER_V110, H5F_LIBVER_LATEST);
  return properties;
}

absl::StatusOr<std::shared_ptr<FileState>> CreateState(
    const std::string& path, bool temporary, FileSystem* file_system) {
  auto state = std::make_shared<FileState>();
  state->path = path;
  state->disk_path = temporary ? path + ".tmp" : path;
  state->writable = true;
  state->file_system = file_system;
  ASSIGN_OR_RETURN(state->storage.file, file_system->Create(state->disk_path));
  state->temporary = temporary;
  state->storage.writable = true;
  const LibraryLock lock;
  const Handle properties = NewFileProperties(state.get());
  const Handle creation = internal::NewObjectProperties(H5P_FILE_CREATE);
  state->id = H5Fcreate(state->disk_path.c_str(), H5F_ACC_TRUNC, creation.get(),
                        properties.get());
  if (state->id < 0) return state->Failure("", "can't create");
  return state;
}

struct Listing {
  std::vector<std::string> names;
};

// Called from C: keeps names of links inside this file.
herr_t AddName(hid_t, const char* name, const H5L_info_t* info, void* data) {
  if (info->type == H5L_TYPE_HARD || info->type == H5L_TYPE_SOFT) {
    static_cast<Listing*>(data)->names.push_back(name);
  }
  return 0;
}

}  // namespace

File::File(std::shared_ptr<FileState> state) : state_(std::move(state)) {}
File::File(File&& other) noexcept = default;
File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (state_ != nullptr) (void)Close();
    state_ = std::move(other.state_);
  }
  return *this;
}
File::~File() {
  if (state_ != nullptr) (void)Close();
}

const std::string& File::path() const { return state_->path; }

absl::StatusOr<File> File::Open(const std::string& path,
                                FileSystem* file_system) {
  auto state = std::make_shared<FileState>();
  state->path = path;
  state->disk_path = path;
  state->file_system = file_system;
  ASSIGN_OR_RETURN(state->storage.file, file_system->Open(path));
  ASSIGN_OR_RETURN(state->storage.size, state->storage.file->Size());
  {
    const LibraryLock lock;
    const Handle properties = NewFileProperties(state.get());
    state->id = H5Fopen(path.c_str(), H5F_ACC_RDONLY, properties.get());
    if (state->id < 0) return state->Failure("", "can't open");
  }
  return File(std::move(state));
}

absl::StatusOr<File> File::Create(const std::string& path,
                                  FileSystem* file_system) {
  ASSIGN_OR_RETURN(auto state, CreateState(path, false, file_system));
  return File(std::move(state));
}

absl::StatusOr<File> File::CreateTemporary(const std::string& path,
                                           FileSystem* file_system) {
  ASSIGN_OR_RETURN(auto state, CreateState(path, true, file_system));
  return File(std::move(state));
}

absl::Status File::Flush() {
  RETURN_IF_ERROR(state_->CheckWritable());
  const LibraryLock lock;
  if (H5Fflush(state_->id, H5F_SCOPE_LOCAL) < 0) {
    return state_->Failure("", "can't flush");
  }
  return state_->WriteStatus();
}

absl::Status File::Close() {
  const absl::Status closed = state_->Close();
  if (!state_->temporary) return closed;
  state_->temporary = false;
  const absl::Status removed = state_->file_system->Remove(state_->disk_path);
  return closed.ok() ? removed : closed;
}

absl::Status File::Commit() {
  RETURN_IF_ERROR(state_->CheckWritable());
  if (!state_->temporary) {
    return absl::FailedPreconditionError(
        state_->path + ": was not created with a temporary name");
  }
  RETURN_IF_ERROR(state_->Close());
  RETURN_IF_ERROR(
      state_->file_system->CommitFile(state_->disk_path, state_->path));
  state_->temporary = false;
  return absl::OkStatus();
}

absl::Status File::CreateGroup(const std::string& group) {
  RETURN_IF_ERROR(state_->CheckWritable());
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(*state_, group));
  if (exists) {
    ASSIGN_OR_RETURN(const Handle object, OpenObject(*state_, group));
    if (H5Iget_type(object.get()) != H5I_GROUP) {
      return state_->Error(absl::StatusCode::kAlreadyExists, group,
                           "is a dataset, not a group");
    }
    return absl::OkStatus();
  }
  const Handle link = internal::NewLinkProperties();
  const Handle properties = internal::NewObjectProperties(H5P_GROUP_CREATE);
  const Handle handle(H5Gcreate2(state_->id, group.c_str(), link.get(),
                                 properties.get(), H5P_DEFAULT),
                      H5Gclose);
  if (!handle.ok()) return state_->Failure(group, "can't create the group");
  return state_->WriteStatus();
}

absl::StatusOr<bool> File::Exists(const std::string& object) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const LibraryLock lock;
  return ObjectExists(*state_, object);
}

absl::StatusOr<bool> File::IsGroup(const std::string& object) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(*state_, object));
  if (!exists) return false;
  ASSIGN_OR_RETURN(const Handle handle, OpenObject(*state_, object));
  return H5Iget_type(handle.get()) == H5I_GROUP;
}

absl::StatusOr<std::vector<std::string>> File::List(
    const std::string& group) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const Handle handle, OpenObject(*state_, group));
  if (H5Iget_type(handle.get()) != H5I_GROUP) {
    return state_->Error(absl::StatusCode::kInvalidArgument, group,
                         "is not a group");
  }
  Listing listing;
  if (H5Literate(handle.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, AddName,
                 &listing) < 0) {
    return state_->Failure(group, "can't list");
  }
  std::sort(listing.names.begin(), listing.names.end());
  return listing.names;
}

}  // namespace caracal::hdf5
