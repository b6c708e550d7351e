// The methods of File for attributes and strings.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hdf5/library.h"
#include "core/io/hdf5/old_attributes.h"

namespace caracal::hdf5 {

using internal::FileState;
using internal::Handle;
using internal::LibraryLock;

namespace {

// A bound on what a damaged file can make us allocate for one string.
constexpr size_t kMaxStringBytes = size_t{256} << 20;
constexpr uint64_t kMaxStrings = uint64_t{1} << 24;
constexpr uint64_t kMaxListSize = 4096;

std::string AttributeName(const std::string& object, const std::string& name) {
  return absl::StrCat(object, " attribute '", name, "'");
}

absl::Status CheckString(const FileState& file, absl::string_view where,
                         absl::string_view value) {
  if (value.find('\0') == absl::string_view::npos) return absl::OkStatus();
  return file.Error(absl::StatusCode::kInvalidArgument, where,
                    "the string to write has a zero byte in it");
}

struct OpenedAttribute {
  Handle attribute;
  Handle type;
  Shape shape;
};

// An attribute that must be there. Under the lock.
absl::StatusOr<OpenedAttribute> OpenAttribute(const FileState& file,
                                              const std::string& object,
                                              const std::string& name) {
  const std::string where = AttributeName(object, name);
  RETURN_IF_ERROR(CheckObjectName(file, name));
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(file, object));
  RETURN_IF_ERROR(CheckOldAttributes(file, owner.get(), object));
  const htri_t exists = H5Aexists(owner.get(), name.c_str());
  if (exists < 0) return file.Failure(where, "can't look up");
  if (exists == 0) {
    return file.Error(absl::StatusCode::kNotFound, where, "is missing");
  }
  Handle attribute(H5Aopen(owner.get(), name.c_str(), H5P_DEFAULT), H5Aclose);
  if (!attribute.ok()) return file.Failure(where, "can't open");
  Handle type(H5Aget_type(attribute.get()), H5Tclose);
  const Handle space(H5Aget_space(attribute.get()), H5Sclose);
  if (!type.ok() || !space.ok()) {
    return file.Failure(where, "can't read the type and shape");
  }
  ASSIGN_OR_RETURN(Shape shape, ShapeOf(file, where, space.get()));
  return OpenedAttribute{std::move(attribute), std::move(type),
                         std::move(shape)};
}

// The same with one value only. Under the lock.
absl::StatusOr<OpenedAttribute> OpenScalar(const FileState& file,
                                           const std::string& object,
                                           const std::string& name) {
  ASSIGN_OR_RETURN(OpenedAttribute opened, OpenAttribute(file, object, name));
  if (ElementCount(opened.shape) == 1) return opened;
  return file.Error(absl::StatusCode::kInvalidArgument,
                    AttributeName(object, name),
                    "is an array, expected one value");
}

absl::Status WrongType(const FileState& file, absl::string_view where,
                       absl::string_view expected, hid_t type) {
  return file.Error(absl::StatusCode::kInvalidArgument, where,
                    absl::StrCat("expected ", expected, ", found ",
                                 internal::DescribeType(type)));
}

// Creates an attribute of one value, or of a list, and writes it. Under the
// lock.
absl::Status WriteAttribute(const FileState& file, const std::string& object,
                            const std::string& name, hid_t file_type,
                            hid_t memory_type, const void* value,
                            const hsize_t* list_size = nullptr) {
  const std::string where = AttributeName(object, name);
  RETURN_IF_ERROR(CheckObjectName(file, name));
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(file, object));
  const htri_t exists = H5Aexists(owner.get(), name.c_str());
  if (exists < 0) return file.Failure(where, "can't look up");
  if (exists > 0) {
    return file.Error(absl::StatusCode::kAlreadyExists, where,
                      "is already in the file");
  }
  const Handle space(list_size == nullptr
                         ? H5Screate(H5S_SCALAR)
                         : H5Screate_simple(1, list_size, nullptr),
                     H5Sclose);
  const Handle properties(H5Pcreate(H5P_ATTRIBUTE_CREATE), H5Pclose);
  H5Pset_char_encoding(properties.get(), H5T_CSET_UTF8);
  const Handle attribute(H5Acreate2(owner.get(), name.c_str(), file_type,
                                    space.get(), properties.get(), H5P_DEFAULT),
                         H5Aclose);
  if (!attribute.ok()) return file.Failure(where, "can't create");
  if (list_size != nullptr && *list_size == 0) return file.WriteStatus();
  if (H5Awrite(attribute.get(), memory_type, value) < 0) {
    return file.Failure(where, "can't write");
  }
  return file.WriteStatus();
}

// Cuts the padding of a string of fixed length.
std::string Unpad(std::string text, H5T_str_t padding) {
  if (padding == H5T_STR_SPACEPAD) {
    text.erase(text.find_last_not_of(' ') + 1);
  } else {
    text.erase(std::min(text.find('\0'), text.size()));
  }
  return text;
}

// Reads `count` strings of the fixed-length `type` by `read(type, buffer)`.
template <typename Read>
absl::StatusOr<std::vector<std::string>> ReadStringsBy(const FileState& file,
                                                       absl::string_view where,
                                                       hid_t type,
                                                       uint64_t count,
                                                       const Read& read) {
  std::vector<std::string> strings;
  if (count == 0) return strings;
  const size_t size = H5Tget_size(type);
  if (size == 0 || size > kMaxStringBytes / count) {
    return file.Error(
        absl::StatusCode::kDataLoss, where,
        absl::StrCat("claims ", count, " strings of ", size, " bytes"));
  }
  std::string buffer(size * count, '\0');
  if (read(type, buffer.data()) < 0) {
    return file.Failure(where, "can't read");
  }
  const H5T_str_t padding = H5Tget_strpad(type);
  for (uint64_t i = 0; i < count; ++i) {
    strings.push_back(Unpad(buffer.substr(i * size, size), padding));
  }
  return strings;
}

// An integer of any width up to 64 bits, with the stored type's sign.
struct Integer {
  uint64_t bits = 0;
  bool is_unsigned = false;
};

absl::StatusOr<Integer> ReadInteger(const FileState& file,
                                    const std::string& object,
                                    const std::string& name) {
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenScalar(file, object, name));
  const hid_t type = opened.type.get();
  const std::string where = AttributeName(object, name);
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8) {
    return WrongType(file, where, "an integer", type);
  }
  Integer value;
  value.is_unsigned = H5Tget_sign(type) == H5T_SGN_NONE;
  if (H5Aread(opened.attribute.get(),
              value.is_unsigned ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64,
              &value.bits) < 0) {
    return file.Failure(where, "can't read");
  }
  return value;
}

}  // namespace

absl::Status File::SetAttribute(const std::string& object,
                                const std::string& name,
                                absl::string_view value) {
  RETURN_IF_ERROR(state_->CheckWritable());
  RETURN_IF_ERROR(CheckString(*state_, AttributeName(object, name), value));
  // At least one byte, for HDF5 has no string type of none.
  const std::string padded =
      value.empty() ? std::string(1, '\0') : std::string(value);
  const LibraryLock lock;
  const Handle type = internal::NewStringType(padded.size());
  return WriteAttribute(*state_, object, name, type.get(), type.get(),
                        padded.data());
}

absl::Status File::SetNumber(const std::string& object, const std::string& name,
                             Type type, const void* value) {
  RETURN_IF_ERROR(state_->CheckWritable());
  const LibraryLock lock;
  return WriteAttribute(*state_, object, name, internal::FileType(type),
                        internal::MemoryType(type), value);
}

absl::StatusOr<std::string> File::StringAttribute(
    const std::string& object, const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenScalar(*state_, object, name));
  const hid_t type = opened.type.get();
  if (internal::TypeFrom(type) != Type::kString) {
    return WrongType(*state_, where, "a string", type);
  }
  ASSIGN_OR_RETURN(
      std::vector<std::string> strings,
      ReadStringsBy(*state_, where, type, 1, [&opened](hid_t type, void* out) {
        return H5Aread(opened.attribute.get(), type, out);
      }));
  return std::move(strings[0]);
}

absl::StatusOr<int64_t> File::IntAttribute(const std::string& object,
                                           const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  ASSIGN_OR_RETURN(const Integer value, ReadInteger(*state_, object, name));
  if (value.is_unsigned && value.bits > std::numeric_limits<int64_t>::max()) {
    return state_->Error(absl::StatusCode::kInvalidArgument,
                         AttributeName(object, name),
                         absl::StrCat(value.bits, " doesn't fit an int64"));
  }
  return static_cast<int64_t>(value.bits);
}

absl::StatusOr<uint64_t> File::UintAttribute(const std::string& object,
                                             const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  ASSIGN_OR_RETURN(const Integer value, ReadInteger(*state_, object, name));
  const int64_t as_signed = static_cast<int64_t>(value.bits);
  if (!value.is_unsigned && as_signed < 0) {
    return state_->Error(absl::StatusCode::kInvalidArgument,
                         AttributeName(object, name),
                         absl::StrCat(as_signed, " is negative"));
  }
  return value.bits;
}

absl::StatusOr<double> File::DoubleAttribute(const std::string& object,
                                             const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenScalar(*state_, object, name));
  if (H5Tget_class(opened.type.get()) != H5T_FLOAT) {
    return WrongType(*state_, where, "a floating-point number",
                     opened.type.get());
  }
  double value = 0;
  if (H5Aread(opened.attribute.get(), H5T_NATIVE_DOUBLE, &value) < 0) {
    return state_->Failure(where, "can't read");
  }
  return value;
}

absl::Status File::SetUintList(const std::string& object,
                               const std::string& name,
                               absl::Span<const uint64_t> values) {
  RETURN_IF_ERROR(state_->CheckWritable());
  if (values.size() > kMaxListSize) {
    return state_->Error(absl::StatusCode::kInvalidArgument,
                         AttributeName(object, name),
                         absl::StrCat(values.size(), " numbers are too many"));
  }
  const LibraryLock lock;
  const hsize_t size = values.size();
  return WriteAttribute(*state_, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64,
                        values.data(), &size);
}

absl::StatusOr<std::vector<uint64_t>> File::UintListAttribute(
    const std::string& object, const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenAttribute(*state_, object, name));
  const hid_t type = opened.type.get();
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8 ||
      H5Tget_sign(type) != H5T_SGN_NONE || opened.shape.size() != 1 ||
      opened.shape[0] > kMaxListSize) {
    return WrongType(*state_, where, "a list of unsigned integers", type);
  }
  std::vector<uint64_t> values(opened.shape[0]);
  if (!values.empty() &&
      H5Aread(opened.attribute.get(), H5T_NATIVE_UINT64, values.data()) < 0) {
    return state_->Failure(where, "can't read");
  }
  return values;
}

absl::StatusOr<bool> File::HasAttribute(const std::string& object,
                                        const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  RETURN_IF_ERROR(CheckObjectName(*state_, name));
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(*state_, object));
  RETURN_IF_ERROR(CheckOldAttributes(*state_, owner.get(), object));
  const htri_t exists = H5Aexists(owner.get(), name.c_str());
  if (exists < 0) {
    return state_->Failure(AttributeName(object, name), "can't look up");
  }
  return exists > 0;
}

absl::Status File::WriteStrings(const std::string& dataset,
                                absl::Span<const std::string> strings) {
  RETURN_IF_ERROR(state_->CheckWritable());
  size_t longest = 1;
  for (const std::string& text : strings) {
    RETURN_IF_ERROR(CheckString(*state_, dataset, text));
    longest = std::max(longest, text.size());
  }
  if (longest > kMaxStringBytes / std::max<size_t>(strings.size(), 1)) {
    return state_->Error(absl::StatusCode::kInvalidArgument, dataset,
                         absl::StrCat(strings.size(), " strings of ", longest,
                                      " bytes are too many"));
  }
  std::string buffer(longest * strings.size(), '\0');
  for (size_t i = 0; i < strings.size(); ++i) {
    strings[i].copy(&buffer[i * longest], longest);
  }
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(*state_, dataset));
  if (exists) {
    return state_->Error(absl::StatusCode::kAlreadyExists, dataset,
                         "is already in the file");
  }
  const Handle type = internal::NewStringType(longest);
  const hsize_t count = strings.size();
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Handle link = internal::NewLinkProperties();
  const Handle properties = internal::NewObjectProperties(H5P_DATASET_CREATE);
  const Handle id(
      H5Dcreate2(state_->id, dataset.c_str(), type.get(), space.get(),
                 link.get(), properties.get(), H5P_DEFAULT),
      H5Dclose);
  if (!id.ok()) return state_->Failure(dataset, "can't create");
  if (count > 0 && H5Dwrite(id.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                            buffer.data()) < 0) {
    return state_->Failure(dataset, "can't write");
  }
  return state_->WriteStatus();
}

absl::StatusOr<std::vector<std::string>> File::ReadStrings(
    const std::string& dataset) const {
  ASSIGN_OR_RETURN(const Dataset opened, OpenDataset(dataset));
  const LibraryLock lock;
  const Handle type(H5Dget_type(opened.id_), H5Tclose);
  if (opened.info().type != Type::kString) {
    return WrongType(*state_, dataset, "strings", type.get());
  }
  const uint64_t count = ElementCount(opened.info().shape);
  if (count > kMaxStrings) {
    return state_->Error(absl::StatusCode::kDataLoss, dataset,
                         absl::StrCat("claims ", count, " strings"));
  }
  const hid_t id = opened.id_;
  return ReadStringsBy(
      *state_, dataset, type.get(), count, [id](hid_t memory_type, void* out) {
        return H5Dread(id, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
      });
}

}  // namespace caracal::hdf5
