// Dataset, and the methods of File that make and open datasets.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hdf5/library.h"

namespace caracal::hdf5 {

using internal::FileState;
using internal::Handle;
using internal::LibraryLock;

namespace {

// How much one call of the library moves, so that other threads waiting for
// the lock get their turn.
constexpr uint64_t kSlabBytes = 8 << 20;

constexpr uint64_t kDefaultChunkBytes = 256 << 10;
// HDF5's own limit is 4 GiB - 1 byte.
constexpr uint64_t kMaxChunkBytes = uint64_t{1} << 30;

std::string ShapeText(absl::Span<const uint64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// A chunk is read as a whole, whatever little of it is asked for. Where no
// filter changes its size, all chunks are as long as their shape says: the
// library reads past the end of one that is stored shorter.
absl::Status CheckChunks(const FileState& file, const std::string& path,
                         hid_t id, hid_t properties, const Shape& shape,
                         const hsize_t* maximum, size_t element_bytes) {
  hsize_t chunk[H5S_MAX_RANK];
  const int rank = H5Pget_chunk(properties, H5S_MAX_RANK, chunk);
  bool ok = rank == static_cast<int>(shape.size());
  for (int i = 0; ok && i < rank; ++i) {
    ok = maximum[i] == H5S_UNLIMITED || chunk[i] <= maximum[i];
  }
  if (!ok) {
    return file.Error(
        absl::StatusCode::kDataLoss, path,
        absl::StrCat("its chunks don't fit shape ", ShapeText(shape)));
  }
  const uint64_t elements = ElementCount(Shape(chunk, chunk + rank));
  if (elements > kMaxChunkBytes / std::max<size_t>(element_bytes, 1)) {
    return file.Error(
        absl::StatusCode::kInvalidArgument, path,
        absl::StrCat("its chunks of ", elements, " elements of ", element_bytes,
                     " bytes are larger than the ", kMaxChunkBytes >> 20,
                     " MiB that are supported"));
  }
  if (H5Pget_nfilters(properties) != 0) return absl::OkStatus();
  const Handle space(H5Dget_space(id), H5Sclose);
  hsize_t chunks = 0;
  if (H5Dget_num_chunks(id, space.get(), &chunks) < 0) {
    return file.Failure(path, "can't count the chunks");
  }
  const uint64_t chunk_bytes = elements * element_bytes;
  const uint64_t stored = H5Dget_storage_size(id);
  if (chunks > UINT64_MAX / std::max<uint64_t>(chunk_bytes, 1) ||
      stored != chunks * chunk_bytes) {
    return file.Error(
        absl::StatusCode::kDataLoss, path,
        absl::StrCat(chunks, " chunks of ", chunk_bytes, " bytes expected, ",
                     "but ", stored, " bytes are stored"));
  }
  return absl::OkStatus();
}

// Data kept outside this file could be any file of the machine. And where the
// shape claims more than is stored, or chunks don't fit it, the library reads
// past its buffers or never ends.
absl::Status CheckLayout(const FileState& file, const std::string& path,
                         hid_t id, const Shape& shape, const hsize_t* maximum,
                         size_t element_bytes) {
  const Handle properties(H5Dget_create_plist(id), H5Pclose);
  if (!properties.ok()) return file.Failure(path, "can't read the layout");
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(properties.get()) > 0) {
    return file.Error(absl::StatusCode::kInvalidArgument, path,
                      "keeps its data in other files, which is not supported");
  }
  if (layout == H5D_CHUNKED) {
    return CheckChunks(file, path, id, properties.get(), shape, maximum,
                       element_bytes);
  }
  const uint64_t stored = H5Dget_storage_size(id);
  const uint64_t elements = ElementCount(shape);
  const bool allocated = layout == H5D_COMPACT || stored > 0;
  if (allocated && element_bytes > 0 && elements > stored / element_bytes) {
    return file.Error(
        absl::StatusCode::kDataLoss, path,
        absl::StrCat("shape ", ShapeText(shape), " needs more than the ",
                     stored, " bytes that are stored"));
  }
  return absl::OkStatus();
}

absl::StatusOr<DatasetInfo> ReadInfo(const FileState& file,
                                     const std::string& path, hid_t id) {
  const Handle type(H5Dget_type(id), H5Tclose);
  const Handle space(H5Dget_space(id), H5Sclose);
  if (!type.ok() || !space.ok()) {
    return file.Failure(path, "can't read the type and shape");
  }
  DatasetInfo info;
  info.type = internal::TypeFrom(type.get());
  ASSIGN_OR_RETURN(info.shape, ShapeOf(file, path, space.get()));
  hsize_t maximum[H5S_MAX_RANK] = {};
  if (H5Sget_simple_extent_type(space.get()) == H5S_SIMPLE) {
    if (H5Sget_simple_extent_dims(space.get(), nullptr, maximum) < 0) {
      return file.Failure(path, "can't read the shape");
    }
    info.extensible = !info.shape.empty() && maximum[0] == H5S_UNLIMITED;
  }
  RETURN_IF_ERROR(CheckLayout(file, path, id, info.shape, maximum,
                              H5Tget_size(type.get())));
  return info;
}

absl::Status RefuseExisting(const FileState& file, const std::string& path) {
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(file, path));
  if (!exists) return absl::OkStatus();
  return file.Error(absl::StatusCode::kAlreadyExists, path,
                    "is already in the file");
}

absl::Status CheckRank(const FileState& file, const std::string& path,
                       size_t rank) {
  if (rank <= H5S_MAX_RANK) return absl::OkStatus();
  return file.Error(
      absl::StatusCode::kInvalidArgument, path,
      absl::StrCat("rank ", rank, " is above HDF5's limit of ", H5S_MAX_RANK));
}

}  // namespace

Dataset::Dataset(std::shared_ptr<FileState> file, int64_t id, std::string path,
                 DatasetInfo info)
    : file_(std::move(file)),
      id_(id),
      path_(std::move(path)),
      info_(std::move(info)) {}

Dataset::Dataset(Dataset&& other) noexcept
    : file_(std::move(other.file_)),
      id_(std::exchange(other.id_, -1)),
      path_(std::move(other.path_)),
      info_(std::move(other.info_)) {}

Dataset& Dataset::operator=(Dataset&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(id_, other.id_);
  std::swap(path_, other.path_);
  std::swap(info_, other.info_);
  return *this;
}

Dataset::~Dataset() {
  // Closing the file has closed the library's dataset too.
  if (file_ == nullptr || file_->id < 0 || id_ < 0) return;
  const LibraryLock lock;
  H5Dclose(id_);
}

uint64_t Dataset::row_elements() const {
  if (info_.shape.empty()) return 1;
  return ElementCount(absl::MakeConstSpan(info_.shape).subspan(1));
}

absl::Status Dataset::CheckTransfer(Type type, uint64_t expected_elements,
                                    uint64_t elements) const {
  RETURN_IF_ERROR(file_->CheckUsable());
  if (type != info_.type || SizeOf(type) == 0) {
    const LibraryLock lock;
    const Handle stored(H5Dget_type(id_), H5Tclose);
    return file_->Error(
        absl::StatusCode::kInvalidArgument, path_,
        absl::StrCat("expected elements of type ", NameOf(type), ", found ",
                     internal::DescribeType(stored.get())));
  }
  if (elements != expected_elements) {
    return file_->Error(absl::StatusCode::kInvalidArgument, path_,
                        absl::StrCat("expected ", elements, " elements, found ",
                                     expected_elements, " (shape ",
                                     ShapeText(info_.shape), ")"));
  }
  return absl::OkStatus();
}

absl::Status Dataset::Transfer(bool write, uint64_t first, uint64_t count,
                               void* buffer) const {
  const uint64_t row = row_elements();
  if (count == 0 || row == 0) return absl::OkStatus();
  const uint64_t row_bytes = row * SizeOf(info_.type);
  const uint64_t slab_rows = std::max<uint64_t>(1, kSlabBytes / row_bytes);
  const size_t rank = info_.shape.size();
  char* bytes = static_cast<char*>(buffer);
  hsize_t start[H5S_MAX_RANK] = {};
  hsize_t extent[H5S_MAX_RANK] = {1};
  std::copy(info_.shape.begin(), info_.shape.end(), extent);
  for (uint64_t done = 0; done < count;) {
    const uint64_t rows = std::min(slab_rows, count - done);
    const LibraryLock lock;
    const Handle file_space(H5Dget_space(id_), H5Sclose);
    const hsize_t slab_elements = rows * row;
    const Handle memory_space(H5Screate_simple(1, &slab_elements, nullptr),
                              H5Sclose);
    bool ok = file_space.ok() && memory_space.ok();
    if (ok && rank > 0) {
      start[0] = first + done;
      extent[0] = rows;
      ok = H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start, nullptr,
                               extent, nullptr) >= 0;
    }
    const hid_t type = internal::MemoryType(info_.type);
    if (ok && write) {
      ok = H5Dwrite(id_, type, memory_space.get(), file_space.get(),
                    H5P_DEFAULT, bytes) >= 0;
    } else if (ok) {
      ok = H5Dread(id_, type, memory_space.get(), file_space.get(), H5P_DEFAULT,
                   bytes) >= 0;
    }
    if (!ok) return file_->Failure(path_, write ? "can't write" : "can't read");
    RETURN_IF_ERROR(file_->WriteStatus());
    bytes += rows * row_bytes;
    done += rows;
  }
  return absl::OkStatus();
}

absl::Status Dataset::ReadElements(Type type, void* out,
                                   uint64_t elements) const {
  RETURN_IF_ERROR(CheckTransfer(type, ElementCount(info_.shape), elements));
  return Transfer(false, 0, info_.shape.empty() ? 1 : rows(), out);
}

absl::Status Dataset::ReadRowElements(Type type, uint64_t first, uint64_t count,
                                      void* out, uint64_t elements) const {
  if (first > rows() || count > rows() - first) {
    return file_->Error(absl::StatusCode::kOutOfRange, path_,
                        absl::StrCat("rows ", first, " to ", first + count,
                                     " asked for, it has ", rows()));
  }
  const uint64_t row = row_elements();
  const uint64_t expected =
      row != 0 && count > UINT64_MAX / row ? UINT64_MAX : count * row;
  RETURN_IF_ERROR(CheckTransfer(type, expected, elements));
  return Transfer(false, first, count, out);
}

absl::Status Dataset::AppendElements(Type type, const void* data,
                                     uint64_t elements) {
  RETURN_IF_ERROR(file_->CheckWritable());
  const uint64_t row = row_elements();
  if (!info_.extensible || row == 0 || elements % row != 0) {
    return file_->Error(
        absl::StatusCode::kInvalidArgument, path_,
        absl::StrCat("can't append ", elements, " elements to shape ",
                     ShapeText(info_.shape),
                     info_.extensible ? "" : ", which can't grow"));
  }
  RETURN_IF_ERROR(CheckTransfer(type, elements, elements));
  const uint64_t first = rows();
  Shape grown = info_.shape;
  grown[0] += elements / row;
  {
    const LibraryLock lock;
    std::vector<hsize_t> extent(grown.begin(), grown.end());
    if (H5Dset_extent(id_, extent.data()) < 0) {
      return file_->Failure(path_, "can't grow");
    }
    RETURN_IF_ERROR(file_->WriteStatus());
  }
  info_.shape = std::move(grown);
  return Transfer(true, first, elements / row, const_cast<void*>(data));
}

absl::StatusOr<Dataset> File::OpenDataset(const std::string& dataset) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const LibraryLock lock;
  ASSIGN_OR_RETURN(Handle handle, OpenObject(*state_, dataset));
  if (H5Iget_type(handle.get()) != H5I_DATASET) {
    return state_->Error(absl::StatusCode::kInvalidArgument, dataset,
                         "is not a dataset");
  }
  ASSIGN_OR_RETURN(DatasetInfo info, ReadInfo(*state_, dataset, handle.get()));
  return Dataset(state_, handle.Release(), dataset, std::move(info));
}

absl::Status File::WriteElements(const std::string& dataset, Type type,
                                 absl::Span<const uint64_t> shape,
                                 const void* data, uint64_t elements) {
  RETURN_IF_ERROR(state_->CheckWritable());
  RETURN_IF_ERROR(CheckRank(*state_, dataset, shape.size()));
  if (SizeOf(type) == 0 || ElementCount(shape) != elements) {
    return state_->Error(
        absl::StatusCode::kInvalidArgument, dataset,
        absl::StrCat("can't write ", elements, " elements of type ",
                     NameOf(type), " as shape ", ShapeText(shape)));
  }
  hid_t id;
  {
    const LibraryLock lock;
    RETURN_IF_ERROR(RefuseExisting(*state_, dataset));
    const std::vector<hsize_t> extent(shape.begin(), shape.end());
    const Handle space(shape.empty()
                           ? H5Screate(H5S_SCALAR)
                           : H5Screate_simple(static_cast<int>(shape.size()),
                                              extent.data(), nullptr),
                       H5Sclose);
    const Handle link = internal::NewLinkProperties();
    const Handle properties = internal::NewObjectProperties(H5P_DATASET_CREATE);
    id = space.ok() ? H5Dcreate2(state_->id, dataset.c_str(),
                                 internal::FileType(type), space.get(),
                                 link.get(), properties.get(), H5P_DEFAULT)
                    : -1;
    if (id < 0) return state_->Failure(dataset, "can't create");
  }
  DatasetInfo info;
  info.type = type;
  info.shape.assign(shape.begin(), shape.end());
  const Dataset handle(state_, id, dataset, std::move(info));
  return handle.Transfer(true, 0, shape.empty() ? 1 : shape[0],
                         const_cast<void*>(data));
}

absl::StatusOr<Dataset> File::CreateExtensible(
    const std::string& dataset, Type type, absl::Span<const uint64_t> row_shape,
    const ExtensibleOptions& options) {
  RETURN_IF_ERROR(state_->CheckWritable());
  RETURN_IF_ERROR(CheckRank(*state_, dataset, row_shape.size() + 1));
  const uint64_t row = ElementCount(row_shape);
  const uint64_t size = SizeOf(type);
  const uint64_t row_bytes = row > kMaxChunkBytes ? UINT64_MAX : row * size;
  uint64_t chunk_rows = options.chunk_rows;
  if (chunk_rows == 0 && row_bytes > 0) {
    chunk_rows = std::max<uint64_t>(1, kDefaultChunkBytes / row_bytes);
  }
  if (row_bytes == 0 || chunk_rows > kMaxChunkBytes / row_bytes ||
      row_bytes > kMaxChunkBytes || options.deflate_level < 0 ||
      options.deflate_level > 9) {
    return state_->Error(
        absl::StatusCode::kInvalidArgument, dataset,
        absl::StrCat("can't make chunks of ", chunk_rows, " rows of shape ",
                     ShapeText(row_shape), " and type ", NameOf(type),
                     " (0 < bytes <= ", kMaxChunkBytes, ", deflate 0 to 9)"));
  }
  DatasetInfo info;
  info.type = type;
  info.extensible = true;
  info.shape = {0};
  info.shape.insert(info.shape.end(), row_shape.begin(), row_shape.end());
  std::vector<hsize_t> extent(info.shape.begin(), info.shape.end());
  std::vector<hsize_t> maximum = extent;
  maximum[0] = H5S_UNLIMITED;
  std::vector<hsize_t> chunk = extent;
  chunk[0] = chunk_rows;

  const LibraryLock lock;
  RETURN_IF_ERROR(RefuseExisting(*state_, dataset));
  const Handle space(H5Screate_simple(static_cast<int>(extent.size()),
                                      extent.data(), maximum.data()),
                     H5Sclose);
  const Handle properties = internal::NewObjectProperties(H5P_DATASET_CREATE);
  bool ok = space.ok() && properties.ok() &&
            H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()),
                         chunk.data()) >= 0;
  if (ok && options.deflate_level > 0) {
    ok = H5Pset_deflate(properties.get(), options.deflate_level) >= 0;
  }
  const Handle link = internal::NewLinkProperties();
  Handle id(
      ok ? H5Dcreate2(state_->id, dataset.c_str(), internal::FileType(type),
                      space.get(), link.get(), properties.get(), H5P_DEFAULT)
         : -1,
      H5Dclose);
  if (!id.ok()) return state_->Failure(dataset, "can't create");
  RETURN_IF_ERROR(state_->WriteStatus());
  return Dataset(state_, id.Release(), dataset, std::move(info));
}

}  // namespace caracal::hdf5
