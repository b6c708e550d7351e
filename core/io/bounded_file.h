// Small files, such as configurations, into memory.
#ifndef CARACAL_CORE_IO_BOUNDED_FILE_H_
#define CARACAL_CORE_IO_BOUNDED_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"

namespace caracal {

// For the configurations of models.
inline constexpr size_t kMaxConfigurationBytes = 16 << 20;

// The whole file. kDataLoss, naming the path, when there is more than
// `max_bytes` in it (what was read until then is all that is allocated, so a
// file that never ends does no harm); others when it can't be read.
absl::StatusOr<std::string> ReadBoundedFile(const std::string& path,
                                            size_t max_bytes,
                                            FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_BOUNDED_FILE_H_
