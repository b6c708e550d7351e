#include "dist/checkpoint/reader.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/collective/agree.h"
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

// A block of a tensor: [offset, offset + shape) in every dimension.
struct Block {
  absl::Span<const uint64_t> offset, shape;
};

bool LiesWithin(const TensorPiece& piece) {
  const size_t rank = piece.whole.size();
  if (piece.offset.size() != rank || piece.shape.size() != rank) return false;
  for (size_t d = 0; d < rank; ++d) {
    if (piece.shape[d] > piece.whole[d] ||
        piece.offset[d] > piece.whole[d] - piece.shape[d]) {
      return false;
    }
  }
  return true;
}

// Elements that are in both; blocks of one tensor.
uint64_t SharedElements(const Block& a, const Block& b) {
  uint64_t elements = 1;
  for (size_t d = 0; d < a.shape.size(); ++d) {
    const uint64_t begin = std::max(a.offset[d], b.offset[d]);
    const uint64_t end =
        std::min(a.offset[d] + a.shape[d], b.offset[d] + b.shape[d]);
    elements *= end > begin ? end - begin : 0;
  }
  return elements;
}

// Copies what `from` shares with `to`, both row-major; some elements are.
void CopyShared(const Block& from, const char* source, const Block& to,
                char* out, size_t element_bytes) {
  const size_t rank = from.shape.size();
  if (rank == 0) {
    std::memcpy(out, source, element_bytes);
    return;
  }
  std::vector<uint64_t> begin(rank), end(rank), at(rank);
  for (size_t d = 0; d < rank; ++d) {
    begin[d] = at[d] = std::max(from.offset[d], to.offset[d]);
    end[d] =
        std::min(from.offset[d] + from.shape[d], to.offset[d] + to.shape[d]);
  }
  const auto place = [&](const Block& block) {
    uint64_t index = 0;
    for (size_t d = 0; d < rank; ++d) {
      index = index * block.shape[d] + at[d] - block.offset[d];
    }
    return index * element_bytes;
  };
  const uint64_t run = (end[rank - 1] - begin[rank - 1]) * element_bytes;
  while (true) {
    std::memcpy(out + place(to), source + place(from), run);
    // The next row of the last dimension.
    size_t d = rank - 1;
    while (d > 0 && ++at[d - 1] == end[d - 1]) {
      at[d - 1] = begin[d - 1];
      --d;
    }
    if (d == 0) return;
  }
}

std::string StatePath() { return absl::StrCat("/", kStateGroup); }

}  // namespace

namespace {

absl::Status VerifyRankFile(FileSystem* file_system, const std::string& folder,
                            const RankFile& expected) {
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
  return absl::OkStatus();
}

// Of the files, every `size`-th from number `rank` on.
absl::StatusOr<Manifest> VerifyShare(FileSystem* file_system,
                                     const std::string& folder, int rank,
                                     int size) {
  ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(file_system, folder));
  for (size_t i = rank; i < manifest.rank_files.size(); i += size) {
    RETURN_IF_ERROR(
        VerifyRankFile(file_system, folder, manifest.rank_files[i]));
  }
  return manifest;
}

}  // namespace

absl::StatusOr<Manifest> VerifyCheckpoint(FileSystem* file_system,
                                          const std::string& folder,
                                          Collective* ranks) {
  if (ranks == nullptr) return VerifyShare(file_system, folder, 0, 1);
  absl::StatusOr<Manifest> manifest =
      VerifyShare(file_system, folder, ranks->rank(), ranks->size());
  RETURN_IF_ERROR(AgreeOn(*ranks, manifest.status()));
  return manifest;
}

absl::StatusOr<CheckpointReader> CheckpointReader::Open(
    FileSystem* file_system, const std::string& folder, Collective* ranks) {
  ASSIGN_OR_RETURN(Manifest manifest,
                   VerifyCheckpoint(file_system, folder, ranks));
  return OpenVerified(file_system, folder, std::move(manifest));
}

absl::StatusOr<CheckpointReader> CheckpointReader::OpenVerified(
    FileSystem* file_system, const std::string& folder, Manifest manifest) {
  std::vector<hdf5::File> files;
  for (const RankFile& rank_file : manifest.rank_files) {
    ASSIGN_OR_RETURN(
        hdf5::File file,
        hdf5::File::Open(JoinPath(folder, rank_file.name), file_system));
    files.push_back(std::move(file));
  }
  return CheckpointReader(folder, std::move(manifest), std::move(files));
}

absl::Status CheckpointReader::CheckModel(absl::string_view fingerprint) const {
  if (manifest_.model_fingerprint == fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(folder_, ": belongs to the model with fingerprint ",
                   manifest_.model_fingerprint, ", expected ", fingerprint));
}

absl::StatusOr<std::vector<TensorPiece>> CheckpointReader::Pieces(
    const std::string& name) const {
  const std::string path = "/" + name;
  std::vector<TensorPiece> pieces;
  for (size_t i = 0; i < files_.size(); ++i) {
    const hdf5::File& file = files_[i];
    ASSIGN_OR_RETURN(const bool there, file.Exists(path));
    if (!there) continue;
    ASSIGN_OR_RETURN(const hdf5::Dataset dataset, file.OpenDataset(path));
    TensorPiece piece;
    piece.file = i;
    piece.shape = dataset.info().shape;
    ASSIGN_OR_RETURN(const bool sharded,
                     file.HasAttribute(path, kGlobalShapeAttribute));
    if (sharded) {
      ASSIGN_OR_RETURN(piece.whole,
                       file.UintListAttribute(path, kGlobalShapeAttribute));
      ASSIGN_OR_RETURN(piece.offset,
                       file.UintListAttribute(path, kShardOffsetAttribute));
    } else {
      piece.whole = piece.shape;
      piece.offset.assign(piece.shape.size(), 0);
    }
    if (!LiesWithin(piece)) {
      return absl::DataLossError(
          absl::StrCat(file.path(), ": tensor ", name, ": its piece ",
                       ShapeText(piece.shape), " at ", ShapeText(piece.offset),
                       " does not lie within ", ShapeText(piece.whole)));
    }
    if (!pieces.empty() && piece.whole != pieces[0].whole) {
      return absl::DataLossError(absl::StrCat(
          file.path(), ": tensor ", name, " is a piece of ",
          ShapeText(piece.whole), ", but in ", files_[pieces[0].file].path(),
          " one of ", ShapeText(pieces[0].whole)));
    }
    pieces.push_back(std::move(piece));
  }
  if (pieces.empty()) {
    return absl::NotFoundError(
        absl::StrCat(files_.size() == 1 ? files_[0].path() : folder_,
                     ": there is no tensor ", name));
  }
  return pieces;
}

absl::Status CheckpointReader::ReadTensor(const std::string& name, DType dtype,
                                          absl::Span<const uint64_t> shape,
                                          void* out) const {
  const std::vector<uint64_t> start(shape.size(), 0);
  return ReadBlock(name, dtype, shape, start, shape, out);
}

absl::Status CheckpointReader::ReadBlock(const std::string& name, DType dtype,
                                         absl::Span<const uint64_t> whole,
                                         absl::Span<const uint64_t> offset,
                                         absl::Span<const uint64_t> shape,
                                         void* out) const {
  ASSIGN_OR_RETURN(const std::vector<TensorPiece> pieces, Pieces(name));
  const std::string& first_path = files_[pieces[0].file].path();
  if (absl::MakeConstSpan(pieces[0].whole) != whole) {
    return absl::InvalidArgumentError(absl::StrCat(
        first_path, ": tensor ", name, " has shape ",
        ShapeText(pieces[0].whole), ", expected ", ShapeText(whole)));
  }
  const Block wanted = {offset, shape};
  uint64_t covered = 0;
  std::vector<const TensorPiece*> used;
  for (const TensorPiece& piece : pieces) {
    const Block held = {piece.offset, piece.shape};
    const uint64_t shared = SharedElements(wanted, held);
    if (shared == 0) continue;
    for (const TensorPiece* other : used) {
      if (SharedElements({other->offset, other->shape}, held) == 0) continue;
      return absl::DataLossError(absl::StrCat(
          files_[piece.file].path(), ": tensor ", name,
          " overlaps with the piece in ", files_[other->file].path()));
    }
    used.push_back(&piece);
    covered += shared;
  }
  if (covered != hdf5::ElementCount(shape)) {
    return absl::DataLossError(absl::StrCat(
        first_path, ": tensor ", name, ": of the ", hdf5::ElementCount(shape),
        " elements of ", ShapeText(shape), " at ", ShapeText(offset),
        " the files of this checkpoint hold ", covered));
  }
  // A tensor without elements has a type as well.
  if (used.empty()) used.push_back(&pieces[0]);
  for (const TensorPiece* piece : used) {
    ASSIGN_OR_RETURN(const hdf5::Dataset dataset,
                     files_[piece->file].OpenDataset("/" + name));
    const uint64_t elements = hdf5::ElementCount(piece->shape);
    if (absl::MakeConstSpan(piece->offset) == offset &&
        absl::MakeConstSpan(piece->shape) == shape) {
      RETURN_IF_ERROR(dataset.ReadElements(StorageType(dtype), out, elements));
      continue;
    }
    std::vector<char> buffer(elements * SizeOf(dtype));
    RETURN_IF_ERROR(
        dataset.ReadElements(StorageType(dtype), buffer.data(), elements));
    CopyShared({piece->offset, piece->shape}, buffer.data(), wanted,
               static_cast<char*>(out), SizeOf(dtype));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> CheckpointReader::TensorNames() const {
  std::set<std::string> names;
  for (const hdf5::File& file : files_) {
    std::vector<std::string> of_file;
    size_t seen = 0;
    RETURN_IF_ERROR(AddTensorNames(file, "/", 0, &seen, &of_file));
    names.insert(of_file.begin(), of_file.end());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<std::string> CheckpointReader::String(
    const std::string& name) const {
  return files_[0].StringAttribute(StatePath(), name);
}

absl::StatusOr<int64_t> CheckpointReader::Integer(
    const std::string& name) const {
  return files_[0].IntAttribute(StatePath(), name);
}

absl::StatusOr<double> CheckpointReader::Number(const std::string& name) const {
  return files_[0].DoubleAttribute(StatePath(), name);
}

}  // namespace caracal
