#include "core/io/gguf.h"

#include <limits>
#include <utility>

#include "core/base/status.h"
#include "core/io/byte_cursor.h"
#include "core/io/gguf_parser.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// The parser has checked that the bytes are there, so reads can't fail.
template <typename T>
T Next(ByteCursor* cursor) {
  T value{};
  CARACAL_CHECK(cursor->Read(&value)) << "value shorter than its type";
  return value;
}

bool IsInteger(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kU16:
    case GgufType::kI16:
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kU64:
    case GgufType::kI64:
      return true;
    default:
      return false;
  }
}

bool IsFloat(GgufType type) {
  return type == GgufType::kF32 || type == GgufType::kF64;
}

// False when a u64 does not fit.
bool NextInt(ByteCursor* cursor, GgufType type, int64_t* out) {
  switch (type) {
    case GgufType::kU8:
      *out = Next<uint8_t>(cursor);
      return true;
    case GgufType::kI8:
      *out = Next<int8_t>(cursor);
      return true;
    case GgufType::kU16:
      *out = Next<uint16_t>(cursor);
      return true;
    case GgufType::kI16:
      *out = Next<int16_t>(cursor);
      return true;
    case GgufType::kU32:
      *out = Next<uint32_t>(cursor);
      return true;
    case GgufType::kI32:
      *out = Next<int32_t>(cursor);
      return true;
    case GgufType::kI64:
      *out = Next<int64_t>(cursor);
      return true;
    default: {
      const uint64_t value = Next<uint64_t>(cursor);
      *out = static_cast<int64_t>(value);
      return value <=
             static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    }
  }
}

double NextFloat(ByteCursor* cursor, GgufType type) {
  return type == GgufType::kF32 ? Next<float>(cursor) : Next<double>(cursor);
}

}  // namespace

const char* NameOf(GgufType type) {
  static constexpr const char* kNames[] = {
      "u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
      "bool", "string", "array", "u64", "i64", "f64"};
  const uint32_t id = static_cast<uint32_t>(type);
  return id < std::size(kNames) ? kNames[id] : "?";
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(
    const std::string& path, FileSystem* files) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapped, files->Map(path));
  ASSIGN_OR_RETURN(
      std::unique_ptr<GgufFile> file,
      Parse(absl::MakeConstSpan(mapped->data(), mapped->size()), path));
  file->file_ = std::move(mapped);
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Parse(
    absl::Span<const uint8_t> bytes, const std::string& path) {
  std::unique_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  RETURN_IF_ERROR(Annotate(GgufParser(bytes, file.get()).Run(), path));
  return file;
}

absl::Status GgufFile::WrongType(absl::string_view key, const Value& value,
                                 const char* wanted) const {
  return absl::InvalidArgumentError(
      absl::StrCat(path_, ": metadata key ", Quoted(key), " is ",
                   value.is_array ? "an array of " : "of type ",
                   NameOf(value.type), ", expected ", wanted));
}

absl::StatusOr<const GgufFile::Value*> GgufFile::Find(
    absl::string_view key, bool is_array, const char* wanted) const {
  const auto it = values_.find(key);
  if (it == values_.end()) {
    return absl::NotFoundError(
        absl::StrCat(path_, ": metadata key ", Quoted(key), " is missing"));
  }
  if (it->second.is_array != is_array) {
    return WrongType(key, it->second, wanted);
  }
  return &it->second;
}

absl::StatusOr<absl::string_view> GgufFile::GetString(
    absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Find(key, false, "string"));
  if (value->type != GgufType::kString) return WrongType(key, *value, "string");
  return value->bytes.substr(sizeof(uint64_t));
}

absl::StatusOr<int64_t> GgufFile::GetInt(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Find(key, false, "an integer"));
  if (!IsInteger(value->type)) return WrongType(key, *value, "an integer");
  ByteCursor cursor(BytesOf(value->bytes));
  int64_t out;
  if (!NextInt(&cursor, value->type, &out)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": metadata key ", Quoted(key), " is ",
                     static_cast<uint64_t>(out), ", expected below 2^63"));
  }
  return out;
}

absl::StatusOr<double> GgufFile::GetFloat(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Find(key, false, "a float"));
  if (!IsFloat(value->type)) return WrongType(key, *value, "a float");
  ByteCursor cursor(BytesOf(value->bytes));
  return NextFloat(&cursor, value->type);
}

absl::StatusOr<bool> GgufFile::GetBool(absl::string_view key) const {
  ASSIGN_OR_RETURN(const Value* value, Find(key, false, "bool"));
  if (value->type != GgufType::kBool) return WrongType(key, *value, "bool");
  return value->bytes[0] != 0;
}

absl::StatusOr<std::vector<absl::string_view>> GgufFile::GetStringArray(
    absl::string_view key) const {
  constexpr char kWanted[] = "an array of string";
  ASSIGN_OR_RETURN(const Value* value, Find(key, true, kWanted));
  if (value->type != GgufType::kString) return WrongType(key, *value, kWanted);
  ByteCursor cursor(BytesOf(value->bytes));
  std::vector<absl::string_view> out(value->count);
  for (absl::string_view& element : out) {
    CARACAL_CHECK(cursor.ReadString(&element)) << "array shorter than parsed";
  }
  return out;
}

absl::StatusOr<std::vector<int64_t>> GgufFile::GetIntArray(
    absl::string_view key) const {
  constexpr char kWanted[] = "an array of integers";
  ASSIGN_OR_RETURN(const Value* value, Find(key, true, kWanted));
  if (!IsInteger(value->type)) return WrongType(key, *value, kWanted);
  ByteCursor cursor(BytesOf(value->bytes));
  std::vector<int64_t> out(value->count);
  for (int64_t& element : out) {
    if (!NextInt(&cursor, value->type, &element)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path_, ": metadata key ", Quoted(key), " holds ",
          static_cast<uint64_t>(element), ", expected below 2^63"));
    }
  }
  return out;
}

absl::StatusOr<std::vector<float>> GgufFile::GetFloatArray(
    absl::string_view key) const {
  constexpr char kWanted[] = "an array of floats";
  ASSIGN_OR_RETURN(const Value* value, Find(key, true, kWanted));
  if (!IsFloat(value->type)) return WrongType(key, *value, kWanted);
  ByteCursor cursor(BytesOf(value->bytes));
  std::vector<float> out(value->count);
  for (float& element : out) {
    element = static_cast<float>(NextFloat(&cursor, value->type));
  }
  return out;
}

absl::StatusOr<std::vector<bool>> GgufFile::GetBoolArray(
    absl::string_view key) const {
  constexpr char kWanted[] = "an array of bool";
  ASSIGN_OR_RETURN(const Value* value, Find(key, true, kWanted));
  if (value->type != GgufType::kBool) return WrongType(key, *value, kWanted);
  std::vector<bool> out;
  out.reserve(value->count);
  for (const char byte : value->bytes) out.push_back(byte != 0);
  return out;
}

const GgufTensor* GgufFile::FindTensor(absl::string_view name) const {
  const auto it = tensor_index_.find(name);
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace caracal
