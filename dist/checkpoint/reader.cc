#include "dist/checkpoint/reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "dist/checkpoint/storage_type.h"

namespace caracal {
namespace {

constexpr int kMaxDepth = 16;
// A group that is linked into others many times over would be seen as often.
constexpr size_t kMaxObjects = 1 << 15;

std::string ShapeText(absl::Span<const uint64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// Adds the datasets below a group; `seen` counts groups and datasets.
absl::Status AddTensorNames(const hdf5::File& file, const std::string& group,
                            int depth, size_t* seen,
                            std::vector<std::string>* names) {
  if (depth > kMaxDepth) {
    return absl::DataLossError(absl::StrCat(file.path(), ": ", group,
                                            ": groups are nested too deeply"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> children, file.List(group));
  for (const std::string& child : children) {
    if (++*seen > kMaxObjects) {
      return absl::DataLossError(
          absl::StrCat(file.path(), ": ", group, ": there are more than ",
                       kMaxObjects, " groups and tensors"));
    }
    const std::string path = JoinPath(group, child);
    ASSIGN_OR_RETURN(const bool is_group, file.IsGroup(path));
    if (is_group) {
      RETURN_IF_ERROR(AddTensorNames(file, path, depth + 1, seen, names));
    } else {
      names->push_back(path.substr(1));
    }
  }
  return absl::OkStatus();
}

std::string StatePath() { return absl::StrCat("/", kStateGroup); }

}  // namespace

absl::StatusOr<Manifest> VerifyCheckpoint(FileSystem* file_system,
                                          const std::string& folder) {
  ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(file_system, folder));
  for (const RankFile& expected : manifest.rank_files) {
    const std::string path = JoinPath(folder, expected.name);
    if (!file_system->Exists(path)) {
      return absl::NotFoundError(
          absl::StrCat(path, ": is missing; the manifest lists it with ",
                       expected.bytes, " bytes"));
    }
    // Before reading it all.
    ASSIGN_OR_RETURN(const uint64_t bytes, file_system->FileSize(path));
    if (bytes != expected.bytes) {
      return absl::DataLossError(absl::StrCat(
          path, ": has ", bytes, " bytes, the manifest says ", expected.bytes));
    }
    ASSIGN_OR_RETURN(const RankFile found,
                     DescribeRankFile(file_system, folder, expected.name));
    if (found.bytes != expected.bytes || found.checksum != expected.checksum) {
      return absl::DataLossError(absl::StrCat(
          path, ": has the XXH3 checksum ", found.checksum,
          ", the manifest says ", expected.checksum, ": the file is damaged"));
    }
  }
  return manifest;
}

absl::StatusOr<CheckpointReader> CheckpointReader::Open(
    FileSystem* file_system, const std::string& folder) {
  ASSIGN_OR_RETURN(Manifest manifest, VerifyCheckpoint(file_system, folder));
  if (manifest.rank_files.size() != 1) {
    return absl::UnimplementedError(
        absl::StrCat(folder, ": was written by ", manifest.rank_files.size(),
                     " ranks; this version reads checkpoints of one rank"));
  }
  ASSIGN_OR_RETURN(
      hdf5::File file,
      hdf5::File::Open(JoinPath(folder, manifest.rank_files[0].name),
                       file_system));
  return CheckpointReader(folder, std::move(manifest), std::move(file));
}

absl::Status CheckpointReader::CheckModel(absl::string_view fingerprint) const {
  if (manifest_.model_fingerprint == fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(folder_, ": belongs to the model with fingerprint ",
                   manifest_.model_fingerprint, ", expected ", fingerprint));
}

absl::Status CheckpointReader::ReadTensor(const std::string& name, DType dtype,
                                          absl::Span<const uint64_t> shape,
                                          void* out) const {
  ASSIGN_OR_RETURN(const hdf5::Dataset dataset, file_.OpenDataset("/" + name));
  if (dataset.info().shape != hdf5::Shape(shape.begin(), shape.end())) {
    return absl::InvalidArgumentError(absl::StrCat(
        file_.path(), ": tensor ", name, " has shape ",
        ShapeText(dataset.info().shape), ", expected ", ShapeText(shape)));
  }
  return dataset.ReadElements(StorageType(dtype), out,
                              hdf5::ElementCount(shape));
}

absl::StatusOr<std::optional<TensorShard>> CheckpointReader::Shard(
    const std::string& name) const {
  const std::string path = "/" + name;
  ASSIGN_OR_RETURN(const bool sharded,
                   file_.HasAttribute(path, kGlobalShapeAttribute));
  if (!sharded) return std::optional<TensorShard>();
  TensorShard shard;
  ASSIGN_OR_RETURN(shard.global_shape,
                   file_.UintListAttribute(path, kGlobalShapeAttribute));
  ASSIGN_OR_RETURN(shard.offset,
                   file_.UintListAttribute(path, kShardOffsetAttribute));
  return std::optional<TensorShard>(std::move(shard));
}

absl::StatusOr<std::vector<std::string>> CheckpointReader::TensorNames() const {
  std::vector<std::string> names;
  size_t seen = 0;
  RETURN_IF_ERROR(AddTensorNames(file_, "/", 0, &seen, &names));
  return names;
}

absl::StatusOr<std::string> CheckpointReader::String(
    const std::string& name) const {
  return file_.StringAttribute(StatePath(), name);
}

absl::StatusOr<int64_t> CheckpointReader::Integer(
    const std::string& name) const {
  return file_.IntAttribute(StatePath(), name);
}

absl::StatusOr<double> CheckpointReader::Number(const std::string& name) const {
  return file_.DoubleAttribute(StatePath(), name);
}

}  // namespace caracal
