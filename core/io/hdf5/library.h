// What the wrapper shares inside this folder: the lock around the HDF5
// library, owning handles, and the error stack turned into a Status.
#ifndef CARACAL_CORE_IO_HDF5_LIBRARY_H_
#define CARACAL_CORE_IO_HDF5_LIBRARY_H_

#include <hdf5.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "core/io/hdf5/driver.h"
#include "core/io/hdf5/hdf5.h"

namespace caracal::hdf5::internal {

// Held around every call of the library. The first one sets the library up:
// no printing of errors, no filter plug-ins, no work at exit.
class LibraryLock {
 public:
  LibraryLock();
  ~LibraryLock();
  LibraryLock(const LibraryLock&) = delete;
  LibraryLock& operator=(const LibraryLock&) = delete;
};

// Owns an identifier of the library. Make and destroy it under the lock.
class Handle {
 public:
  using Closer = herr_t (*)(hid_t);
  Handle(hid_t id, Closer closer) : id_(id), closer_(closer) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, -1)), closer_(other.closer_) {}
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (id_ >= 0) closer_(id_);
  }
  bool ok() const { return id_ >= 0; }
  hid_t get() const { return id_; }
  hid_t Release() { return std::exchange(id_, -1); }

 private:
  hid_t id_;
  Closer closer_;
};

// One open file, shared by a File and its Datasets. Not synchronised.
struct FileState {
  ~FileState();

  // kFailedPrecondition when closed; the first failed write, if any.
  absl::Status CheckUsable() const;
  absl::Status CheckWritable() const;
  // "model.h5: dataset /tokens: can't open: bad object header". To be called
  // under the lock, right after the failed call.
  absl::Status Failure(absl::string_view object, absl::string_view what) const;
  // OK unless a write went wrong meanwhile (which the library doesn't see).
  absl::Status WriteStatus() const { return storage.write_error; }
  // "model.h5: /tokens: message".
  absl::Status Error(absl::StatusCode code, absl::string_view object,
                     absl::string_view message) const;
  // Closes the library's file and the one on disk.
  absl::Status Close();

  std::string path;       // the name users know
  std::string disk_path;  // where the bytes are: path, or path + ".tmp"
  bool writable = false;
  bool temporary = false;
  FileSystem* file_system = nullptr;
  hid_t id = -1;
  // `mutable`: reading reports its errors there.
  mutable Storage storage;
};

// The HDF5 type in memory of a numeric Type. Not to be closed.
hid_t MemoryType(Type type);
// The type in files (little endian) of a numeric Type. Not to be closed.
hid_t FileType(Type type);
// Which Type an HDF5 type is.
Type TypeFrom(hid_t type);
// For messages: the name of the Type, or what a kOther is.
std::string DescribeType(hid_t type);
// UTF-8 strings of this length, padded with zero bytes.
Handle NewStringType(size_t bytes);
// Properties for creating an object of a class (H5P_DATASET_CREATE, ...): no
// times of creation and change, so that the same contents make the same file.
Handle NewObjectProperties(hid_t property_class);
// Properties for creating a link with its missing parent groups.
Handle NewLinkProperties();
// Properties for opening an object: no links to other files are followed.
Handle NewAccessProperties();

// kInvalidArgument for names the library would misread.
absl::Status CheckObjectName(const FileState& file, const std::string& name);
// Whether every part of the path is there. Under the lock.
absl::StatusOr<bool> ObjectExists(const FileState& file,
                                  const std::string& object);
// A group or dataset that must be there. Under the lock.
absl::StatusOr<Handle> OpenObject(const FileState& file,
                                  const std::string& object);
// The shape of a dataspace; a null one has the shape {0}. Under the lock.
absl::StatusOr<Shape> ShapeOf(const FileState& file, absl::string_view object,
                              hid_t space);

}  // namespace caracal::hdf5::internal

#endif  // CARACAL_CORE_IO_HDF5_LIBRARY_H_
