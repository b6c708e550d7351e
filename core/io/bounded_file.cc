#include "core/io/bounded_file.h"

#include <algorithm>
#include <memory>

#include "absl/status/status.h"
#include "core/base/status.h"

namespace caracal {

absl::StatusOr<std::string> ReadBoundedFile(const std::string& path,
                                            size_t max_bytes,
                                            FileSystem* files) {
  constexpr size_t kBlockBytes = 256 << 10;
  ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                   files->Open(path));
  std::string out;
  while (out.size() <= max_bytes) {
    const size_t before = out.size();
    // One byte more than allowed tells that there are too many.
    const size_t wanted = std::min(kBlockBytes, max_bytes + 1 - before);
    out.resize(before + wanted);
    ASSIGN_OR_RETURN(const size_t n,
                     file->ReadAt(before, wanted, out.data() + before));
    out.resize(before + n);
    if (n < wanted) return out;
  }
  return absl::DataLossError(absl::StrCat(
      path, ": has more than the ", max_bytes, " bytes that are expected"));
}

}  // namespace caracal
