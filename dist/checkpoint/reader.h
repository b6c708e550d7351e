// Reads checkpoints, after checking that every file is what its manifest says.
#ifndef CARACAL_DIST_CHECKPOINT_READER_H_
#define CARACAL_DIST_CHECKPOINT_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/contents.h"
#include "dist/checkpoint/manifest.h"

namespace caracal {

// Reads every file and compares sizes and checksums with the manifest.
//   kNotFound            no manifest, or a file it lists is missing
//   kDataLoss            a file is shorter, longer or different; a damaged
//                        manifest
//   kFailedPrecondition  a newer version of the format
absl::StatusOr<Manifest> VerifyCheckpoint(FileSystem* file_system,
                                          const std::string& folder);

// An open, verified checkpoint of one rank. Move-only; for one thread at a
// time. Errors name the file and the tensor, what was found and expected.
class CheckpointReader {
 public:
  // As VerifyCheckpoint; also kUnimplemented for one that several ranks wrote.
  static absl::StatusOr<CheckpointReader> Open(FileSystem* file_system,
                                               const std::string& folder);

  const Manifest& manifest() const { return manifest_; }

  // kFailedPrecondition unless the checkpoint was trained from this model.
  absl::Status CheckModel(absl::string_view fingerprint) const;

  // Fills `out`, row-major. kNotFound without such a tensor;
  // kInvalidArgument when its type or shape is another.
  absl::Status ReadTensor(const std::string& name, DType dtype,
                          absl::Span<const uint64_t> shape, void* out) const;
  // nullopt when the tensor is whole.
  absl::StatusOr<std::optional<TensorShard>> Shard(
      const std::string& name) const;
  // Names of all tensors, sorted by group and name.
  absl::StatusOr<std::vector<std::string>> TensorNames() const;

  // State entries.
  absl::StatusOr<std::string> String(const std::string& name) const;
  absl::StatusOr<int64_t> Integer(const std::string& name) const;
  absl::StatusOr<double> Number(const std::string& name) const;

 private:
  CheckpointReader(std::string folder, Manifest manifest, hdf5::File file)
      : folder_(std::move(folder)),
        manifest_(std::move(manifest)),
        file_(std::move(file)) {}

  std::string folder_;
  Manifest manifest_;
  hdf5::File file_;
};

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_READER_H_
