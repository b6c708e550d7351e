// The methods of File for attributes and strings.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/hdf5/library.h"

namespace caracal::hdf5 {

using internal::FileState;
using internal::Handle;
using internal::LibraryLock;

namespace {

// A bound on what a damaged file can make us allocate for one string.
constexpr size_t kMaxStringBytes = size_t{256} << 20;
constexpr uint64_t kMaxStrings = uint64_t{1} << 24;

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
};

// A scalar attribute (or one element) that must be there. Under the lock.
absl::StatusOr<OpenedAttribute> OpenAttribute(const FileState& file,
                                              const std::string& object,
                                              const std::string& name) {
  const std::string where = AttributeName(object, name);
  RETURN_IF_ERROR(CheckObjectName(file, name));
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(file, object));
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
  ASSIGN_OR_RETURN(const Shape shape, ShapeOf(file, where, space.get()));
  if (ElementCount(shape) != 1) {
    return file.Error(absl::StatusCode::kInvalidArgument, where,
                      "is an array, expected one value");
  }
  return OpenedAttribute{std::move(attribute), std::move(type)};
}

absl::Status WrongType(const FileState& file, absl::string_view where,
                       absl::string_view expected, hid_t type) {
  return file.Error(absl::StatusCode::kInvalidArgument, where,
                    absl::StrCat("expected ", expected, ", found ",
                                 internal::DescribeType(type)));
}

// Creates an attribute of one value and writes it. Under the lock.
absl::Status WriteAttribute(const FileState& file, const std::string& object,
                            const std::string& name, hid_t file_type,
                            hid_t memory_type, const void* value) {
  const std::string where = AttributeName(object, name);
  RETURN_IF_ERROR(CheckObjectName(file, name));
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(file, object));
  const htri_t exists = H5Aexists(owner.get(), name.c_str());
  if (exists < 0) return file.Failure(where, "can't look up");
  if (exists > 0) {
    return file.Error(absl::StatusCode::kAlreadyExists, where,
                      "is already in the file");
  }
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle properties(H5Pcreate(H5P_ATTRIBUTE_CREATE), H5Pclose);
  H5Pset_char_encoding(properties.get(), H5T_CSET_UTF8);
  const Handle attribute(H5Acreate2(owner.get(), name.c_str(), file_type,
                                    space.get(), properties.get(), H5P_DEFAULT),
                         H5Aclose);
  if (!attribute.ok()) return file.Failure(where, "can't create");
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

// The memory type for reading strings stored as `type`. Under the lock.
Handle StringMemoryType(hid_t type) {
  if (H5Tis_variable_str(type) <= 0) return Handle(H5Tcopy(type), H5Tclose);
  Handle memory = internal::NewStringType();
  H5Tset_cset(memory.get(), H5Tget_cset(type));
  return memory;
}

// Reads `count` strings of the stored `type` by `read(memory_type, buffer)`;
// `space` describes them.
template <typename Read>
absl::StatusOr<std::vector<std::string>> ReadStringsBy(const FileState& file,
                                                       absl::string_view where,
                                                       hid_t type, hid_t space,
                                                       uint64_t count,
                                                       const Read& read) {
  std::vector<std::string> strings;
  if (count == 0) return strings;
  const Handle memory = StringMemoryType(type);
  if (H5Tis_variable_str(type) > 0) {
    std::vector<char*> buffer(count, nullptr);
    const bool ok = read(memory.get(), buffer.data()) >= 0;
    absl::Status status =
        ok ? absl::OkStatus() : file.Failure(where, "can't read");
    for (const char* text : buffer) {
      strings.push_back(ok && text != nullptr ? text : "");
    }
    H5Dvlen_reclaim(memory.get(), space, H5P_DEFAULT, buffer.data());
    if (!ok) return status;
    return strings;
  }
  const size_t size = H5Tget_size(type);
  if (size == 0 || size > kMaxStringBytes / count) {
    return file.Error(
        absl::StatusCode::kDataLoss, where,
        absl::StrCat("claims ", count, " strings of ", size, " bytes"));
  }
  std::string buffer(size * count, '\0');
  if (read(memory.get(), buffer.data()) < 0) {
    return file.Failure(where, "can't read");
  }
  const H5T_str_t padding = H5Tget_strpad(type);
  for (uint64_t i = 0; i < count; ++i) {
    strings.push_back(Unpad(buffer.substr(i * size, size), padding));
  }
  return strings;
}

struct Listing {
  std::vector<std::string> names;
};

herr_t AddName(hid_t, const char* name, const H5A_info_t*, void* data) {
  static_cast<Listing*>(data)->names.push_back(name);
  return 0;
}

}  // namespace

absl::Status File::SetAttribute(const std::string& object,
                                const std::string& name,
                                absl::string_view value) {
  RETURN_IF_ERROR(state_->CheckWritable());
  RETURN_IF_ERROR(CheckString(*state_, AttributeName(object, name), value));
  const std::string terminated(value);
  const char* pointer = terminated.c_str();
  const LibraryLock lock;
  const Handle type = internal::NewStringType();
  return WriteAttribute(*state_, object, name, type.get(), type.get(),
                        &pointer);
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
                   OpenAttribute(*state_, object, name));
  if (H5Tget_class(opened.type.get()) != H5T_STRING) {
    return WrongType(*state_, where, "a string", opened.type.get());
  }
  const Handle space(H5Aget_space(opened.attribute.get()), H5Sclose);
  ASSIGN_OR_RETURN(std::vector<std::string> strings,
                   ReadStringsBy(*state_, where, opened.type.get(), space.get(),
                                 1, [&opened](hid_t type, void* out) {
                                   return H5Aread(opened.attribute.get(), type,
                                                  out);
                                 }));
  return std::move(strings[0]);
}

absl::StatusOr<int64_t> File::IntAttribute(const std::string& object,
                                           const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenAttribute(*state_, object, name));
  const hid_t type = opened.type.get();
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8) {
    return WrongType(*state_, where, "an integer", type);
  }
  if (H5Tget_sign(type) == H5T_SGN_NONE) {
    uint64_t value = 0;
    if (H5Aread(opened.attribute.get(), H5T_NATIVE_UINT64, &value) < 0) {
      return state_->Failure(where, "can't read");
    }
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return state_->Error(absl::StatusCode::kInvalidArgument, where,
                           absl::StrCat(value, " doesn't fit an int64"));
    }
    return static_cast<int64_t>(value);
  }
  int64_t value = 0;
  if (H5Aread(opened.attribute.get(), H5T_NATIVE_INT64, &value) < 0) {
    return state_->Failure(where, "can't read");
  }
  return value;
}

absl::StatusOr<uint64_t> File::UintAttribute(const std::string& object,
                                             const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenAttribute(*state_, object, name));
  const hid_t type = opened.type.get();
  if (H5Tget_class(type) != H5T_INTEGER || H5Tget_size(type) > 8) {
    return WrongType(*state_, where, "an integer", type);
  }
  if (H5Tget_sign(type) != H5T_SGN_NONE) {
    int64_t value = 0;
    if (H5Aread(opened.attribute.get(), H5T_NATIVE_INT64, &value) < 0) {
      return state_->Failure(where, "can't read");
    }
    if (value < 0) {
      return state_->Error(absl::StatusCode::kInvalidArgument, where,
                           absl::StrCat(value, " is negative"));
    }
    return static_cast<uint64_t>(value);
  }
  uint64_t value = 0;
  if (H5Aread(opened.attribute.get(), H5T_NATIVE_UINT64, &value) < 0) {
    return state_->Failure(where, "can't read");
  }
  return value;
}

absl::StatusOr<double> File::DoubleAttribute(const std::string& object,
                                             const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const std::string where = AttributeName(object, name);
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const OpenedAttribute opened,
                   OpenAttribute(*state_, object, name));
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

absl::StatusOr<bool> File::HasAttribute(const std::string& object,
                                        const std::string& name) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  RETURN_IF_ERROR(CheckObjectName(*state_, name));
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(*state_, object));
  const htri_t exists = H5Aexists(owner.get(), name.c_str());
  if (exists < 0) {
    return state_->Failure(AttributeName(object, name), "can't look up");
  }
  return exists > 0;
}

absl::StatusOr<std::vector<std::string>> File::ListAttributes(
    const std::string& object) const {
  RETURN_IF_ERROR(state_->CheckUsable());
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const Handle owner, OpenObject(*state_, object));
  Listing listing;
  if (H5Aiterate2(owner.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, AddName,
                  &listing) < 0) {
    return state_->Failure(object, "can't list the attributes");
  }
  std::sort(listing.names.begin(), listing.names.end());
  return listing.names;
}

absl::Status File::WriteStrings(const std::string& dataset,
                                absl::Span<const std::string> strings) {
  RETURN_IF_ERROR(state_->CheckWritable());
  std::vector<const char*> pointers;
  for (const std::string& text : strings) {
    RETURN_IF_ERROR(CheckString(*state_, dataset, text));
    pointers.push_back(text.c_str());
  }
  const LibraryLock lock;
  ASSIGN_OR_RETURN(const bool exists, ObjectExists(*state_, dataset));
  if (exists) {
    return state_->Error(absl::StatusCode::kAlreadyExists, dataset,
                         "is already in the file");
  }
  const Handle type = internal::NewStringType();
  const hsize_t count = strings.size();
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Handle link = internal::NewLinkProperties();
  const Handle id(H5Dcreate2(state_->id, dataset.c_str(), type.get(),
                             space.get(), link.get(), H5P_DEFAULT, H5P_DEFAULT),
                  H5Dclose);
  if (!id.ok()) return state_->Failure(dataset, "can't create");
  if (count > 0 && H5Dwrite(id.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT,
                            pointers.data()) < 0) {
    return state_->Failure(dataset, "can't write");
  }
  return state_->WriteStatus();
}

absl::StatusOr<std::vector<std::string>> File::ReadStrings(
    const std::string& dataset) const {
  ASSIGN_OR_RETURN(const Dataset opened, OpenDataset(dataset));
  const LibraryLock lock;
  const Handle type(H5Dget_type(opened.id_), H5Tclose);
  const Handle space(H5Dget_space(opened.id_), H5Sclose);
  if (opened.info().type != Type::kString) {
    return WrongType(*state_, dataset, "strings", type.get());
  }
  const uint64_t count = ElementCount(opened.info().shape);
  if (count > kMaxStrings) {
    return state_->Error(absl::StatusCode::kDataLoss, dataset,
                         absl::StrCat("claims ", count, " strings"));
  }
  const hid_t id = opened.id_;
  return ReadStringsBy(*state_, dataset, type.get(), space.get(), count,
                       [id](hid_t memory_type, void* out) {
                         return H5Dread(id, memory_type, H5S_ALL, H5S_ALL,
                                        H5P_DEFAULT, out);
                       });
}

}  // namespace caracal::hdf5
