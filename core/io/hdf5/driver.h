// A virtual file driver: lets the HDF5 library read and write through our
// FileSystem, so that tests can inject faults under it.
//
// The library is known to be left in a bad state (and to crash at exit) by a
// write that fails, above all on closing. So this driver never reports one:
// it keeps the error in Storage, drops the bytes and claims success. The
// caller looks at Storage::write_error after each call and throws the file
// away.
#ifndef CARACAL_CORE_IO_HDF5_DRIVER_H_
#define CARACAL_CORE_IO_HDF5_DRIVER_H_

#include <hdf5.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "core/base/file_system.h"

namespace caracal::hdf5::internal {

// The file under one open HDF5 file; must outlive it.
struct Storage {
  std::unique_ptr<RandomAccessFile> file;
  bool writable = false;
  uint64_t size = 0;         // bytes; what it would be had no write failed
  absl::Status write_error;  // the first one; sticky
  absl::Status read_error;   // the latest one
};

// Makes a file-access property list use this driver on `storage`. Negative on
// failure. Under the library's lock.
herr_t UseStorage(hid_t access_properties, Storage* storage);

}  // namespace caracal::hdf5::internal

#endif  // CARACAL_CORE_IO_HDF5_DRIVER_H_
