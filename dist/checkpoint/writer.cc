#include "dist/checkpoint/writer.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/collective/agree.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/storage_type.h"

namespace caracal {
namespace {

absl::Status CheckTensor(const CheckpointTensor& tensor) {
  const auto error = [&tensor](absl::string_view message) {
    return absl::InvalidArgumentError(
        absl::StrCat("checkpoint tensor '", tensor.name, "': ", message));
  };
  if (!IsCheckpointName(tensor.name)) return error("not a usable name");
  if (tensor.name == kStateGroup ||
      absl::string_view(tensor.name).substr(0, 6) == "state/") {
    return error("'state' is taken");
  }
  if (StorageType(tensor.dtype) == hdf5::Type::kOther) {
    return error(absl::StrCat("type ", NameOf(tensor.dtype),
                              " can't be stored; f32, i32, i64 and u8 can"));
  }
  if (tensor.data == nullptr && hdf5::ElementCount(tensor.shape) > 0) {
    return error("no data");
  }
  if (!tensor.shard.has_value()) return absl::OkStatus();
  const TensorShard& shard = *tensor.shard;
  bool fits = shard.global_shape.size() == tensor.shape.size() &&
              shard.offset.size() == tensor.shape.size();
  for (size_t i = 0; fits && i < tensor.shape.size(); ++i) {
    fits = tensor.shape[i] <= shard.global_shape[i] &&
           shard.offset[i] <= shard.global_shape[i] - tensor.shape[i];
  }
  if (fits) return absl::OkStatus();
  return error(absl::StrCat("shard [", absl::StrJoin(tensor.shape, ", "),
                            "] at [", absl::StrJoin(shard.offset, ", "),
                            "] lies outside [",
                            absl::StrJoin(shard.global_shape, ", "), "]"));
}

absl::Status CheckContents(const CheckpointContents& contents) {
  for (const CheckpointTensor& tensor : contents.tensors) {
    RETURN_IF_ERROR(CheckTensor(tensor));
  }
  std::set<std::string> names;
  const auto add = [&names](const auto& entries) -> absl::Status {
    for (const auto& entry : entries) {
      if (!IsCheckpointName(entry.first, 1) ||
          !names.insert(entry.first).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("checkpoint state '", entry.first,
                         "': not a usable name, or given twice"));
      }
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(add(contents.strings));
  RETURN_IF_ERROR(add(contents.integers));
  return add(contents.numbers);
}

absl::Status WriteContents(const CheckpointContents& contents,
                           hdf5::File* file) {
  for (const CheckpointTensor& tensor : contents.tensors) {
    const std::string path = "/" + tensor.name;
    RETURN_IF_ERROR(file->WriteElements(path, StorageType(tensor.dtype),
                                        tensor.shape, tensor.data,
                                        hdf5::ElementCount(tensor.shape)));
    if (tensor.shard.has_value()) {
      RETURN_IF_ERROR(file->SetUintList(path, kGlobalShapeAttribute,
                                        tensor.shard->global_shape));
      RETURN_IF_ERROR(
          file->SetUintList(path, kShardOffsetAttribute, tensor.shard->offset));
    }
  }
  const std::string state = absl::StrCat("/", kStateGroup);
  RETURN_IF_ERROR(file->CreateGroup(state));
  for (const auto& [name, value] : contents.strings) {
    RETURN_IF_ERROR(file->SetAttribute(state, name, value));
  }
  for (const auto& [name, value] : contents.integers) {
    RETURN_IF_ERROR(file->SetAttribute(state, name, value));
  }
  for (const auto& [name, value] : contents.numbers) {
    RETURN_IF_ERROR(file->SetAttribute(state, name, value));
  }
  return absl::OkStatus();
}

// A RankFile as bytes of fixed size.
struct PackedRankFile {
  uint64_t bytes = 0;
  char checksum[40] = {};
};

// By rank, on all ranks.
absl::StatusOr<std::vector<RankFile>> GatherRankFiles(const RankFile& mine,
                                                      Collective& ranks) {
  PackedRankFile packed;
  packed.bytes = mine.bytes;
  CARACAL_CHECK(mine.checksum.size() < sizeof(packed.checksum));
  mine.checksum.copy(packed.checksum, mine.checksum.size());
  std::vector<PackedRankFile> all(ranks.size());
  RETURN_IF_ERROR(ranks.AllGatherBytes(&packed, sizeof(packed), all.data()));
  std::vector<RankFile> files;
  for (size_t r = 0; r < all.size(); ++r) {
    files.push_back({RankFileName(r), all[r].bytes, all[r].checksum});
  }
  return files;
}

// Before the first byte: what is in the folder stops being a checkpoint, and
// files of a layout with more ranks would lie about for ever.
absl::Status PrepareFolder(FileSystem* file_system, const std::string& folder) {
  RETURN_IF_ERROR(file_system->CreateFolder(folder));
  const std::string manifest = JoinPath(folder, kManifestName);
  if (file_system->Exists(manifest)) {
    RETURN_IF_ERROR(file_system->Remove(manifest));
    RETURN_IF_ERROR(file_system->SyncFolder(folder));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   file_system->List(folder));
  for (const std::string& name : names) {
    if (absl::StartsWith(name, "rank-")) {
      RETURN_IF_ERROR(file_system->Remove(JoinPath(folder, name)));
    }
  }
  return absl::OkStatus();
}

absl::Status WriteManifest(FileSystem* file_system, const std::string& folder,
                           const CheckpointContents& contents,
                           std::vector<RankFile> rank_files) {
  Manifest manifest;
  manifest.step = contents.step;
  manifest.layout = contents.layout;
  manifest.model_fingerprint = contents.model_fingerprint;
  manifest.job_fingerprint = contents.job_fingerprint;
  manifest.data_fingerprint = contents.data_fingerprint;
  manifest.validation_fingerprint = contents.validation_fingerprint;
  manifest.created_by = contents.created_by;
  manifest.rank_files = std::move(rank_files);
  return file_system->WriteFileAtomically(JoinPath(folder, kManifestName),
                                          FormatManifest(manifest));
}

// Every rank goes through the same agreements.
absl::Status WriteFiles(FileSystem* file_system, const std::string& folder,
                        const CheckpointContents& contents, Collective& ranks) {
  const absl::StatusOr<RankFile> mine =
      WriteRankFile(file_system, folder, ranks.rank(), contents);
  RETURN_IF_ERROR(AgreeOn(ranks, mine.status()));
  ASSIGN_OR_RETURN(std::vector<RankFile> files, GatherRankFiles(*mine, ranks));
  absl::Status written;
  if (ranks.rank() == 0) {
    written = WriteManifest(file_system, folder, contents, std::move(files));
  }
  return AgreeOn(ranks, written);
}

}  // namespace

absl::StatusOr<RankFile> WriteRankFile(FileSystem* file_system,
                                       const std::string& folder, uint64_t rank,
                                       const CheckpointContents& contents) {
  RETURN_IF_ERROR(CheckContents(contents));
  const std::string name = RankFileName(rank);
  ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::CreateTemporary(
                                        JoinPath(folder, name), file_system));
  RETURN_IF_ERROR(WriteContents(contents, &file));
  RETURN_IF_ERROR(file.Commit());
  return DescribeRankFile(file_system, folder, name);
}

absl::Status WriteCheckpoint(FileSystem* file_system, const std::string& folder,
                             const CheckpointContents& contents,
                             Collective* ranks) {
  SingleProcessCollective alone;
  Collective& group = ranks == nullptr ? alone : *ranks;
  const ParallelLayout& layout = contents.layout;
  const uint64_t expected = layout.data * layout.tensor * layout.layer;
  absl::Status ready = CheckContents(contents);
  if (ready.ok() && expected != static_cast<uint64_t>(group.size())) {
    ready = absl::InvalidArgumentError(
        absl::StrCat(folder, ": the layout says that ", expected,
                     " ranks write, not ", group.size()));
  }
  RETURN_IF_ERROR(AgreeOn(group, ready));
  if (group.rank() == 0) ready = PrepareFolder(file_system, folder);
  RETURN_IF_ERROR(AgreeOn(group, ready));
  const absl::Status status = WriteFiles(file_system, folder, contents, group);
  // Only what failed on all ranks is no checkpoint. One that lost the others
  // does not know whether the manifest was written, and that counts.
  if (!status.ok() && group.Barrier().ok()) {
    // Frees the space, as well as that goes: the disk may be full. The
    // manifest goes first, for its rename may have happened.
    (void)file_system->Remove(JoinPath(folder, kManifestName));
    (void)file_system->SyncFolder(folder);
    (void)file_system->Remove(JoinPath(folder, RankFileName(group.rank())));
    (void)file_system->RemoveFolder(folder);
  }
  return status;
}

}  // namespace caracal
