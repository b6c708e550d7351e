// Files in the HDF5 format: whole datasets, datasets that grow by rows,
// attributes. A thin, owning wrapper of the HDF5 C library.
//
// Paths inside a file are written like "/optimizer/m/w_q"; "/" is the root
// group, which also carries the file's own attributes. Missing parent groups
// are created on writing.
//
// Errors: absl::Status naming the file and the dataset or attribute.
//   kNotFound            no such file, dataset, group or attribute
//   kInvalidArgument     not an HDF5 file; another dtype, rank or shape than
//                        asked for; a name that can't be used
//   kAlreadyExists       the dataset or attribute to write is already there
//   kDataLoss            a truncated or damaged file
//   kOutOfRange          rows past the end
//   kResourceExhausted   the disk is full
//   kFailedPrecondition  the file is closed, or open for reading only
// A failed write is remembered: every later call on that file, Close and
// Commit included, returns the same error, and the library itself never sees
// one (it doesn't recover from failed writes).
//
// Threads: the HDF5 library is guarded by one process-wide mutex, so different
// files may be used from different threads; large transfers are cut so that
// one thread doesn't hold up another for long. One File with its Datasets is
// for one thread at a time.
//
// Files written here use the format of HDF5 1.10, whose metadata carries
// checksums; h5py reads them. Files of any version are read. Refused are links
// to other files, external and virtual storage, filter plug-ins, chunks of more
// than 1 GiB, and strings of variable length: the library trusts the lengths it
// finds in their heap, and a flipped bit there hangs or crashes it. For the
// same reason attributes can't be listed. Metadata of the oldest format
// (h5py's default) has no checksums: damage there is found only where it makes
// no sense. Attributes and chunks whose lengths would have the library read
// past its buffers are found here; a file of that format that was made to
// attack the library may still find other ways.
#ifndef CARACAL_CORE_IO_HDF5_HDF5_H_
#define CARACAL_CORE_IO_HDF5_HDF5_H_

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file_system.h"

namespace caracal::hdf5 {

enum class Type : uint8_t {
  kF32,
  kF64,
  kI32,
  kI64,
  kU8,
  kU64,
  kString,  // of a fixed length
  kOther,   // can't be read here
};

// "f32", "string", ...
const char* NameOf(Type type);
// Bytes of one element in memory; 0 for kString and kOther.
size_t SizeOf(Type type);

template <typename T>
struct TypeOf;  // float, double, int32_t, int64_t, uint8_t, uint64_t

using Shape = std::vector<uint64_t>;

// 1 for a scalar's empty shape; the largest uint64 where it would overflow.
uint64_t ElementCount(absl::Span<const uint64_t> shape);

struct DatasetInfo {
  Type type = Type::kOther;
  Shape shape;              // empty: a scalar
  bool extensible = false;  // can grow along the first dimension
};

struct ExtensibleOptions {
  uint64_t chunk_rows = 0;  // rows of one chunk; 0: about 256 KiB
  int deflate_level = 0;    // 0 (off) to 9
};

namespace internal {
struct FileState;
}  // namespace internal

// An open dataset. Stays valid while its File is open; after File::Close its
// methods return kFailedPrecondition. Move-only.
//
// Rows are slices along the first dimension. `out` and `data` are row-major
// and must have exactly the number of elements that the call moves. The type
// T must be the dataset's: nothing is converted (but byte order).
class Dataset {
 public:
  Dataset(Dataset&& other) noexcept;
  Dataset& operator=(Dataset&& other) noexcept;
  ~Dataset();

  // As of now: Append changes the shape. A file of the world may claim any
  // shape: check it against a bound before allocating.
  const DatasetInfo& info() const { return info_; }
  const std::string& path() const { return path_; }
  // 0 for a scalar.
  uint64_t rows() const { return info_.shape.empty() ? 0 : info_.shape[0]; }
  // Elements of one row.
  uint64_t row_elements() const;

  template <typename T>
  absl::Status Read(absl::Span<T> out) const {
    return ReadElements(TypeOf<T>::value, out.data(), out.size());
  }
  template <typename T>
  absl::Status ReadRows(uint64_t first, uint64_t count,
                        absl::Span<T> out) const {
    return ReadRowElements(TypeOf<T>::value, first, count, out.data(),
                           out.size());
  }
  // Adds data.size() / row_elements() rows at the end.
  template <typename T>
  absl::Status Append(absl::Span<const T> data) {
    return AppendElements(TypeOf<T>::value, data.data(), data.size());
  }

  // The same with the type given at run time; `elements` is the size of the
  // buffer.
  absl::Status ReadElements(Type type, void* out, uint64_t elements) const;
  absl::Status ReadRowElements(Type type, uint64_t first, uint64_t count,
                               void* out, uint64_t elements) const;
  absl::Status AppendElements(Type type, const void* data, uint64_t elements);

 private:
  friend class File;
  Dataset(std::shared_ptr<internal::FileState> file, int64_t id,
          std::string path, DatasetInfo info);

  absl::Status CheckTransfer(Type type, uint64_t expected_elements,
                             uint64_t elements) const;
  // Moves rows [first, first + count) in slabs of bounded size.
  absl::Status Transfer(bool write, uint64_t first, uint64_t count,
                        void* buffer) const;

  std::shared_ptr<internal::FileState> file_;
  int64_t id_ = -1;
  std::string path_;
  DatasetInfo info_;
};

// An open file. Move-only; the destructor closes and drops errors (and the
// file, when it was created with a temporary name and never committed), so
// whoever writes calls Close or Commit.
class File {
 public:
  // For reading.
  static absl::StatusOr<File> Open(
      const std::string& path, FileSystem* file_system = FileSystem::Posix());
  // For writing (and reading back); an existing file is replaced.
  static absl::StatusOr<File> Create(
      const std::string& path, FileSystem* file_system = FileSystem::Posix());
  // For writing under path + ".tmp"; only Commit makes it appear at `path`.
  static absl::StatusOr<File> CreateTemporary(
      const std::string& path, FileSystem* file_system = FileSystem::Posix());

  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  // As given to Open or Create.
  const std::string& path() const;

  // Writes what is buffered to the operating system; no fsync.
  absl::Status Flush();
  // Closes; the second call does nothing. A temporary file is removed.
  absl::Status Close();
  // For CreateTemporary: closes, fsyncs, renames, fsyncs the folder.
  absl::Status Commit();

  // Groups and names. CreateGroup is OK when the group is there.
  absl::Status CreateGroup(const std::string& group);
  absl::StatusOr<bool> Exists(const std::string& object) const;
  absl::StatusOr<bool> IsGroup(const std::string& object) const;
  // Names of the groups and datasets in a group, sorted.
  absl::StatusOr<std::vector<std::string>> List(const std::string& group) const;

  // Datasets.
  absl::StatusOr<Dataset> OpenDataset(const std::string& dataset) const;
  // A new dataset of this shape (empty: a scalar) with these elements,
  // row-major.
  template <typename T>
  absl::Status Write(const std::string& dataset,
                     absl::Span<const uint64_t> shape,
                     absl::Span<const T> data) {
    return WriteElements(dataset, TypeOf<T>::value, shape, data.data(),
                         data.size());
  }
  absl::Status WriteElements(const std::string& dataset, Type type,
                             absl::Span<const uint64_t> shape, const void* data,
                             uint64_t elements);
  // A new dataset of no rows of the shape `row_shape` (empty: one element a
  // row).
  template <typename T>
  absl::StatusOr<Dataset> CreateExtensible(
      const std::string& dataset, absl::Span<const uint64_t> row_shape,
      const ExtensibleOptions& options = {}) {
    return CreateExtensible(dataset, TypeOf<T>::value, row_shape, options);
  }
  absl::StatusOr<Dataset> CreateExtensible(const std::string& dataset,
                                           Type type,
                                           absl::Span<const uint64_t> row_shape,
                                           const ExtensibleOptions& options);
  // A one-dimensional dataset of UTF-8 strings, padded to the longest one. A
  // string with a zero byte is kInvalidArgument.
  absl::Status WriteStrings(const std::string& dataset,
                            absl::Span<const std::string> strings);
  absl::StatusOr<std::vector<std::string>> ReadStrings(
      const std::string& dataset) const;

  // Scalar attributes of a group or dataset; "/" for the file's. Reading
  // an integer accepts every integer type whose value fits; reading a double
  // accepts floats.
  absl::Status SetAttribute(const std::string& object, const std::string& name,
                            absl::string_view value);
  // Numbers are stored as int64, uint64 or double.
  template <typename T>
  requires std::is_arithmetic_v<T> absl::Status SetAttribute(
      const std::string& object, const std::string& name, T value) {
    if constexpr (std::is_floating_point_v<T>) {
      const double wide = value;
      return SetNumber(object, name, Type::kF64, &wide);
    } else if constexpr (std::is_signed_v<T>) {
      const int64_t wide = value;
      return SetNumber(object, name, Type::kI64, &wide);
    } else {
      const uint64_t wide = value;
      return SetNumber(object, name, Type::kU64, &wide);
    }
  }
  absl::StatusOr<std::string> StringAttribute(const std::string& object,
                                              const std::string& name) const;
  absl::StatusOr<int64_t> IntAttribute(const std::string& object,
                                       const std::string& name) const;
  absl::StatusOr<uint64_t> UintAttribute(const std::string& object,
                                         const std::string& name) const;
  absl::StatusOr<double> DoubleAttribute(const std::string& object,
                                         const std::string& name) const;
  // A list of numbers, such as a shape; at most 4096.
  absl::Status SetUintList(const std::string& object, const std::string& name,
                           absl::Span<const uint64_t> values);
  absl::StatusOr<std::vector<uint64_t>> UintListAttribute(
      const std::string& object, const std::string& name) const;
  absl::StatusOr<bool> HasAttribute(const std::string& object,
                                    const std::string& name) const;

 private:
  explicit File(std::shared_ptr<internal::FileState> state);
  absl::Status SetNumber(const std::string& object, const std::string& name,
                         Type type, const void* value);

  std::shared_ptr<internal::FileState> state_;
};

template <>
struct TypeOf<float> {
  static constexpr Type value = Type::kF32;
};
template <>
struct TypeOf<double> {
  static constexpr Type value = Type::kF64;
};
template <>
struct TypeOf<int32_t> {
  static constexpr Type value = Type::kI32;
};
template <>
struct TypeOf<int64_t> {
  static constexpr Type value = Type::kI64;
};
template <>
struct TypeOf<uint8_t> {
  static constexpr Type value = Type::kU8;
};
template <>
struct TypeOf<uint64_t> {
  static constexpr Type value = Type::kU64;
};

}  // namespace caracal::hdf5

#endif  // CARACAL_CORE_IO_HDF5_HDF5_H_
