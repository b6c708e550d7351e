#include "core/io/hdf5/library.h"

#include <algorithm>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal::hdf5 {
namespace internal {
namespace {

// std::mutex, for absl's hides from ThreadSanitizer inside its shared library.
std::mutex* LibraryMutex() {
  static std::mutex* const mutex = new std::mutex;
  return mutex;
}

void SetUpLibrary() {
  // Files still open at exit were never finished: nothing to save.
  H5dont_atexit();
  H5open();
  H5PLset_loading_state(0);
}

// The error nearest to the cause.
struct InnermostError {
  std::string description;
  hid_t minor = -1;
};

herr_t KeepInnermost(unsigned n, const H5E_error2_t* error, void* result) {
  if (n != 0) return 0;
  auto* innermost = static_cast<InnermostError*>(result);
  if (error->desc != nullptr) innermost->description = error->desc;
  innermost->minor = error->min_num;
  return 0;
}

// Never follows a link to another file.
herr_t RefuseExternalLink(const char*, const char*, const char*, const char*,
                          unsigned*, hid_t, void*) {
  return -1;
}

}  // namespace

LibraryLock::LibraryLock() {
  LibraryMutex()->lock();
  [[maybe_unused]] static const bool set_up = (SetUpLibrary(), true);
  // A setting of the thread where the library is built for threads.
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

LibraryLock::~LibraryLock() { LibraryMutex()->unlock(); }

FileState::~FileState() {
  (void)Close();
  if (temporary) (void)file_system->Remove(disk_path);
}

absl::Status FileState::CheckUsable() const {
  if (id < 0) {
    return absl::FailedPreconditionError(path + ": the file is closed");
  }
  return storage.write_error;
}

absl::Status FileState::CheckWritable() const {
  RETURN_IF_ERROR(CheckUsable());
  if (!writable) {
    return absl::FailedPreconditionError(path + ": is open for reading only");
  }
  return absl::OkStatus();
}

absl::Status FileState::Error(absl::StatusCode code, absl::string_view object,
                              absl::string_view message) const {
  return absl::Status(code, absl::StrCat(path, ": ", object, ": ", message));
}

absl::Status FileState::Failure(absl::string_view object,
                                absl::string_view what) const {
  if (!storage.write_error.ok()) return storage.write_error;
  const std::string prefix =
      absl::StrCat(path, object.empty() ? "" : ": ", object, ": ", what);
  if (!storage.read_error.ok()) {
    absl::Status error = Annotate(storage.read_error, prefix);
    storage.read_error = absl::OkStatus();
    return error;
  }
  InnermostError error;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, KeepInnermost, &error);
  if (error.minor == H5E_NOTHDF5) {
    return absl::InvalidArgumentError(
        absl::StrCat(prefix, ": is not an HDF5 file"));
  }
  if (error.minor == H5E_NOTFOUND) {
    return absl::NotFoundError(absl::StrCat(prefix, ": ", error.description));
  }
  return absl::DataLossError(absl::StrCat(prefix, ": ", error.description));
}

absl::Status FileState::Close() {
  if (id >= 0) {
    LibraryLock lock;
    const herr_t result = H5Fclose(id);
    if (result < 0 && storage.write_error.ok()) {
      storage.write_error = Failure("", "can't close");
    }
    id = -1;
  }
  if (storage.file != nullptr) {
    const absl::Status closed = storage.file->Close();
    if (storage.write_error.ok()) storage.write_error = closed;
    storage.file.reset();
  }
  return storage.write_error;
}

hid_t MemoryType(Type type) {
  switch (type) {
    case Type::kF32:
      return H5T_NATIVE_FLOAT;
    case Type::kF64:
      return H5T_NATIVE_DOUBLE;
    case Type::kI32:
      return H5T_NATIVE_INT32;
    case Type::kI64:
      return H5T_NATIVE_INT64;
    case Type::kU8:
      return H5T_NATIVE_UINT8;
    case Type::kU64:
      return H5T_NATIVE_UINT64;
    case Type::kString:
    case Type::kOther:
      break;
  }
  return -1;
}

hid_t FileType(Type type) {
  switch (type) {
    case Type::kF32:
      return H5T_IEEE_F32LE;
    case Type::kF64:
      return H5T_IEEE_F64LE;
    case Type::kI32:
      return H5T_STD_I32LE;
    case Type::kI64:
      return H5T_STD_I64LE;
    case Type::kU8:
      return H5T_STD_U8LE;
    case Type::kU64:
      return H5T_STD_U64LE;
    case Type::kString:
    case Type::kOther:
      break;
  }
  return -1;
}

Type TypeFrom(hid_t type) {
  const auto is = [type](hid_t candidate) {
    return H5Tequal(type, candidate) > 0;
  };
  switch (H5Tget_class(type)) {
    case H5T_STRING:
      return H5Tis_variable_str(type) > 0 ? Type::kOther : Type::kString;
    case H5T_FLOAT:
      if (is(H5T_IEEE_F32LE) || is(H5T_IEEE_F32BE)) return Type::kF32;
      if (is(H5T_IEEE_F64LE) || is(H5T_IEEE_F64BE)) return Type::kF64;
      return Type::kOther;
    case H5T_INTEGER:
      if (is(H5T_STD_I32LE) || is(H5T_STD_I32BE)) return Type::kI32;
      if (is(H5T_STD_I64LE) || is(H5T_STD_I64BE)) return Type::kI64;
      if (is(H5T_STD_U64LE) || is(H5T_STD_U64BE)) return Type::kU64;
      if (is(H5T_STD_U8LE) || is(H5T_STD_U8BE)) return Type::kU8;
      return Type::kOther;
    default:
      return Type::kOther;
  }
}

std::string DescribeType(hid_t type) {
  const Type known = TypeFrom(type);
  if (known != Type::kOther) return NameOf(known);
  const size_t bits = H5Tget_size(type) * 8;
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return absl::StrCat(H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "i", bits);
    case H5T_FLOAT:
      return absl::StrCat("a float of ", bits, " bits");
    case H5T_ENUM:
      return "an enumeration (or bool)";
    case H5T_STRING:
      return "strings of variable length (store them with a fixed length)";
    case H5T_COMPOUND:
      return "a compound type";
    default:
      return "another type";
  }
}

Handle NewStringType(size_t bytes) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.get(), bytes);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

Handle NewObjectProperties(hid_t property_class) {
  Handle properties(H5Pcreate(property_class), H5Pclose);
  H5Pset_obj_track_times(properties.get(), false);
  return properties;
}

Handle NewLinkProperties() {
  Handle properties(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(properties.get(), 1);
  H5Pset_char_encoding(properties.get(), H5T_CSET_UTF8);
  return properties;
}

Handle NewAccessProperties() {
  Handle properties(H5Pcreate(H5P_LINK_ACCESS), H5Pclose);
  H5Pset_elink_cb(properties.get(), RefuseExternalLink, nullptr);
  return properties;
}

absl::Status CheckObjectName(const FileState& file, const std::string& name) {
  if (name.empty()) {
    return absl::InvalidArgumentError(file.path + ": empty object name");
  }
  if (name.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        file.path + ": an object's name has a zero byte in it");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ObjectExists(const FileState& file,
                                  const std::string& object) {
  RETURN_IF_ERROR(CheckObjectName(file, object));
  const Handle access = NewAccessProperties();
  // The library answers only for the last part of a path.
  for (size_t end = object.find_first_not_of('/'); end != std::string::npos;
       end = object.find_first_not_of('/', end)) {
    end = std::min(object.find('/', end), object.size());
    const std::string prefix = object.substr(0, end);
    const htri_t link = H5Lexists(file.id, prefix.c_str(), access.get());
    if (link < 0) return file.Failure(prefix, "can't look up");
    if (link == 0) return false;
    const htri_t target =
        H5Oexists_by_name(file.id, prefix.c_str(), access.get());
    if (target <= 0) return false;  // a dangling link
    if (end == object.size()) break;
  }
  return true;
}

absl::StatusOr<Handle> OpenObject(const FileState& file,
                                  const std::string& object) {
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(file, object));
  if (!exists) {
    return file.Error(absl::StatusCode::kNotFound, object,
                      "no such group or dataset");
  }
  const Handle access = NewAccessProperties();
  Handle handle(H5Oopen(file.id, object.c_str(), access.get()), H5Oclose);
  if (!handle.ok()) return file.Failure(object, "can't open");
  return handle;
}

absl::StatusOr<Shape> ShapeOf(const FileState& file, absl::string_view object,
                              hid_t space) {
  if (H5Sget_simple_extent_type(space) == H5S_NULL) return Shape{0};
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || rank > H5S_MAX_RANK) {
    return file.Failure(object, "can't read the rank");
  }
  hsize_t dims[H5S_MAX_RANK];
  if (H5Sget_simple_extent_dims(space, dims, nullptr) < 0) {
    return file.Failure(object, "can't read the shape");
  }
  return Shape(dims, dims + rank);
}

}  // namespace internal

const char* NameOf(Type type) {
  switch (type) {
    case Type::kF32:
      return "f32";
    case Type::kF64:
      return "f64";
    case Type::kI32:
      return "i32";
    case Type::kI64:
      return "i64";
    case Type::kU8:
      return "u8";
    case Type::kU64:
      return "u64";
    case Type::kString:
      return "string";
    case Type::kOther:
      break;
  }
  return "another type";
}

size_t SizeOf(Type type) {
  switch (type) {
    case Type::kF32:
    case Type::kI32:
      return 4;
    case Type::kF64:
    case Type::kI64:
    case Type::kU64:
      return 8;
    case Type::kU8:
      return 1;
    case Type::kString:
    case Type::kOther:
      break;
  }
  return 0;
}

uint64_t ElementCount(absl::Span<const uint64_t> shape) {
  uint64_t count = 1;
  bool overflow = false;
  for (const uint64_t extent : shape) {
    if (extent == 0) return 0;
    overflow = overflow || count > UINT64_MAX / extent;
    if (!overflow) count *= extent;
  }
  return overflow ? UINT64_MAX : count;
}

}  // namespace caracal::hdf5
