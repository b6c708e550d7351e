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
#include "core/collective/collective.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/contents.h"
#include "dist/checkpoint/manifest.h"

namespace caracal {

// Reads every file and compares sizes and checksums with the manifest.
//   kNotFound            no manifest, or a file it lists is missing
//   kDataLoss            a file is shorter, longer or different; a damaged
//                        manifest
//   kFailedPrecondition  a newer version of the format
// With `ranks` they all call, each reads its share of the files, and what one
// finds wrong is everybody's (core/collective/agree.h).
absl::StatusOr<Manifest> VerifyCheckpoint(FileSystem* file_system,
                                          const std::string& folder,
                                          Collective* ranks = nullptr);

// A block of a tensor, as one rank's file holds it.
struct TensorPiece {
  size_t file = 0;               // in manifest().rank_files
  std::vector<uint64_t> whole;   // shape of the tensor
  std::vector<uint64_t> offset;  // of the block's first element
  std::vector<uint64_t> shape;   // of the block
};

// An open, verified checkpoint of any number of ranks. Move-only; for one
// thread at a time. Errors name the file and the tensor, what was found and
// expected.
class CheckpointReader {
 public:
  // As VerifyCheckpoint.
  static absl::StatusOr<CheckpointReader> Open(FileSystem* file_system,
                                               const std::string& folder,
                                               Collective* ranks = nullptr);
  // One that was verified just now, and has this manifest.
  static absl::StatusOr<CheckpointReader> OpenVerified(
      FileSystem* file_system, const std::string& folder, Manifest manifest);

  const Manifest& manifest() const { return manifest_; }

  // kFailedPrecondition unless the checkpoint was trained from this model.
  absl::Status CheckModel(absl::string_view fingerprint) const;

  // Fills `out`, row-major, with a whole tensor, from whichever files hold its
  // pieces. kNotFound without such a tensor; kInvalidArgument when its type or
  // shape is another; kDataLoss when its pieces overlap or leave a gap.
  absl::Status ReadTensor(const std::string& name, DType dtype,
                          absl::Span<const uint64_t> shape, void* out) const;
  // Likewise with a block of it: `shape` from `offset` on, of a tensor of shape
  // `whole`.
  absl::Status ReadBlock(const std::string& name, DType dtype,
                         absl::Span<const uint64_t> whole,
                         absl::Span<const uint64_t> offset,
                         absl::Span<const uint64_t> shape, void* out) const;
  // By file. kNotFound without such a tensor; kDataLoss when a piece does not
  // lie within its tensor, or files disagree on the tensor's shape.
  absl::StatusOr<std::vector<TensorPiece>> Pieces(
      const std::string& name) const;
  // Names of all tensors, each once, sorted.
  absl::StatusOr<std::vector<std::string>> TensorNames() const;

  // State entries: those of the first rank's file.
  absl::StatusOr<std::string> String(const std::string& name) const;
  absl::StatusOr<int64_t> Integer(const std::string& name) const;
  absl::StatusOr<double> Number(const std::string& name) const;

 private:
  CheckpointReader(std::string folder, Manifest manifest,
                   std::vector<hdf5::File> files)
      : folder_(std::move(folder)),
        manifest_(std::move(manifest)),
        files_(std::move(files)) {}

  std::string folder_;
  Manifest manifest_;
  std::vector<hdf5::File> files_;  // by rank
};

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_READER_H_
