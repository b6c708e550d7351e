// `caracal inspect` of HDF5 files: packed data, and any other file's groups
// and datasets.
#ifndef CARACAL_JOBS_CLIENT_INSPECT_HDF5_H_
#define CARACAL_JOBS_CLIENT_INSPECT_HDF5_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "jobs/client/inspection.h"

namespace caracal {

// `verify`: packed data are read and checked to the last row.
absl::StatusOr<Inspection> InspectHdf5(const std::string& path, bool verify,
                                       FileSystem* files);

// All datasets of a file, by their paths without the leading '/'.
absl::StatusOr<std::vector<InspectedTensor>> ListDatasets(
    const std::string& path, FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INSPECT_HDF5_H_
