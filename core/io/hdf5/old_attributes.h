// A check of attributes in the oldest format of HDF5, which h5py writes by
// default: the library decodes them without looking at where they end.
#ifndef CARACAL_CORE_IO_HDF5_OLD_ATTRIBUTES_H_
#define CARACAL_CORE_IO_HDF5_OLD_ATTRIBUTES_H_

#include <string>

#include "absl/status/status.h"
#include "core/io/hdf5/library.h"

namespace caracal::hdf5::internal {

// Whether the attributes in the header of the open `object`, whose name is
// `name`, lie within it. Headers of later formats have a checksum and are not
// looked at, nor are files open for writing, which are ours. To be called under
// the lock, before the library is asked for any attribute.
//
// kDataLoss: a length that makes no sense, a compound type, or one that is
// shared among attributes. Source: "HDF5 File Format
// Specification 3.0", sections IV.A.1.a and IV.A.2.{b,d,m,q}.
absl::Status CheckOldAttributes(const FileState& file, hid_t object,
                                const std::string& name);

}  // namespace caracal::hdf5::internal

#endif  // CARACAL_CORE_IO_HDF5_OLD_ATTRIBUTES_H_
