#include "core/io/gguf_parser.h"

#include <algorithm>
#include <numeric>

#include "core/base/status.h"
#include "core/base/utf8.h"
#include "core/io/quoted.h"

namespace caracal {
namespace {

constexpr uint64_t kMaxKeyBytes = 65535;       // of the specification
constexpr uint64_t kMaxTensorNameBytes = 255;  // ggml itself stops at 63
constexpr uint32_t kMaxDimensions = 4;         // of ggml
constexpr uint64_t kMaxAlignment = 1 << 20;
// The shortest a metadata pair (empty key, one byte) and a tensor info (no
// dimensions) can be: they bound the counts a file can honestly declare.
constexpr uint64_t kMinPairBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;

// Bytes of a scalar; 0 for strings, arrays and unknown types.
uint64_t ScalarBytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    default:
      return 0;
  }
}

bool AllBools(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](char byte) { return byte == 0 || byte == 1; });
}

}  // namespace

absl::Status GgufParser::Truncated(absl::string_view what) const {
  return absl::DataLossError(absl::StrCat("file ends inside ", what,
                                          " at byte ", cursor_.offset(), " of ",
                                          bytes_.size()));
}

absl::Status GgufParser::Run() {
  RETURN_IF_ERROR(ParseHeader());
  for (uint64_t i = 0; i < pair_count_; ++i) RETURN_IF_ERROR(ParsePair(i));
  RETURN_IF_ERROR(ParseAlignment());
  for (uint64_t i = 0; i < tensor_count_; ++i) RETURN_IF_ERROR(ParseTensor(i));
  return PlaceTensors();
}

absl::Status GgufParser::ParseHeader() {
  absl::string_view magic;
  if (!cursor_.ReadBytes(4, &magic) || magic != "GGUF") {
    return absl::DataLossError(
        "not a GGUF file: the first four bytes are not \"GGUF\"");
  }
  if (!cursor_.Read(&file_->version_)) return Truncated("the header");
  if (file_->version_ != 2 && file_->version_ != 3) {
    const bool swapped = (file_->version_ & 0xffff) == 0;
    return absl::UnimplementedError(
        absl::StrCat("GGUF version ", file_->version_,
                     swapped ? " (a big-endian file?)" : "",
                     ", expected 2 or 3, little endian"));
  }
  if (!cursor_.Read(&tensor_count_) || !cursor_.Read(&pair_count_)) {
    return Truncated("the header");
  }
  if (pair_count_ > cursor_.remaining() / kMinPairBytes) {
    return absl::DataLossError(
        absl::StrCat("header declares ", pair_count_,
                     " metadata pairs, more than fit into the file's ",
                     bytes_.size(), " bytes"));
  }
  if (tensor_count_ > cursor_.remaining() / kMinTensorBytes) {
    return absl::DataLossError(absl::StrCat(
        "header declares ", tensor_count_,
        " tensors, more than fit into the file's ", bytes_.size(), " bytes"));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParsePair(uint64_t index) {
  absl::string_view key;
  if (!cursor_.ReadString(&key)) {
    return Truncated(absl::StrCat("the key of metadata pair ", index));
  }
  if (key.empty() || key.size() > kMaxKeyBytes || !IsValidUtf8(key)) {
    return absl::DataLossError(
        absl::StrCat("metadata pair ", index, " has the key ", Quoted(key),
                     ", expected 1 to 65535 bytes of UTF-8"));
  }
  GgufFile::Value value;
  RETURN_IF_ERROR(ParseValue(key, &value));
  if (!file_->values_.emplace(key, value).second) {
    return absl::DataLossError(
        absl::StrCat("metadata key ", Quoted(key), " appears twice"));
  }
  file_->keys_.push_back(key);
  return absl::OkStatus();
}

absl::Status GgufParser::ParseValue(absl::string_view key,
                                    GgufFile::Value* value) {
  const auto truncated = [&] {
    return Truncated(absl::StrCat("metadata key ", Quoted(key)));
  };
  uint32_t type;
  if (!cursor_.Read(&type)) return truncated();
  value->type = static_cast<GgufType>(type);
  value->is_array = value->type == GgufType::kArray;
  value->count = 1;
  if (value->is_array) {
    if (!cursor_.Read(&type) || !cursor_.Read(&value->count)) {
      return truncated();
    }
    value->type = static_cast<GgufType>(type);
    if (value->type == GgufType::kArray) {
      return absl::UnimplementedError(absl::StrCat(
          "metadata key ", Quoted(key), " is an array of arrays, which no ",
          "GGUF reader of this program expects"));
    }
  }
  if (value->type != GgufType::kString && ScalarBytes(value->type) == 0) {
    return absl::DataLossError(absl::StrCat("metadata key ", Quoted(key),
                                            " has the unknown type ", type,
                                            ", expected 0 to 12"));
  }
  return SkipElements(key, value);
}

absl::Status GgufParser::SkipElements(absl::string_view key,
                                      GgufFile::Value* value) {
  const uint64_t start = cursor_.offset();
  const uint64_t smallest =
      value->type == GgufType::kString ? 8 : ScalarBytes(value->type);
  if (value->count > cursor_.remaining() / smallest) {
    return absl::DataLossError(absl::StrCat(
        "metadata key ", Quoted(key), " declares ", value->count,
        value->count == 1 ? " element of type " : " elements of type ",
        NameOf(value->type), ", but only ", cursor_.remaining(),
        " bytes of the file are left"));
  }
  absl::string_view skipped;
  if (value->type == GgufType::kString) {
    for (uint64_t i = 0; i < value->count; ++i) {
      if (!cursor_.ReadString(&skipped)) {
        return Truncated(
            absl::StrCat("string ", i, " of metadata key ", Quoted(key)));
      }
    }
  } else {
    cursor_.ReadBytes(value->count * smallest, &skipped);
  }
  value->bytes =
      absl::string_view(reinterpret_cast<const char*>(bytes_.data()) + start,
                        cursor_.offset() - start);
  if (value->type == GgufType::kBool && !AllBools(value->bytes)) {
    return absl::DataLossError(absl::StrCat(
        "metadata key ", Quoted(key), " holds a bool that is neither 0 nor 1"));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseAlignment() {
  constexpr char kKey[] = "general.alignment";
  if (!file_->Has(kKey)) return absl::OkStatus();
  const absl::StatusOr<int64_t> value = file_->GetInt(kKey);
  if (!value.ok()) {
    return absl::DataLossError("general.alignment is not an integer");
  }
  const uint64_t alignment = static_cast<uint64_t>(*value);
  if (*value <= 0 || alignment > kMaxAlignment ||
      (alignment & (alignment - 1)) != 0) {
    return absl::DataLossError(absl::StrCat("general.alignment is ", *value,
                                            ", expected a power of two up to ",
                                            kMaxAlignment));
  }
  alignment_ = alignment;
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensor(uint64_t index) {
  const auto truncated = [&] {
    return Truncated(absl::StrCat("tensor info ", index));
  };
  GgufTensor tensor;
  uint32_t dimensions, type;
  uint64_t offset;
  if (!cursor_.ReadString(&tensor.name)) return truncated();
  if (tensor.name.empty() || tensor.name.size() > kMaxTensorNameBytes ||
      !IsValidUtf8(tensor.name)) {
    return absl::DataLossError(absl::StrCat(
        "tensor ", index, " has the name ", Quoted(tensor.name),
        ", expected 1 to ", kMaxTensorNameBytes, " bytes of UTF-8"));
  }
  const std::string who = absl::StrCat("tensor ", Quoted(tensor.name));
  if (!cursor_.Read(&dimensions)) return truncated();
  if (dimensions < 1 || dimensions > kMaxDimensions) {
    return absl::DataLossError(absl::StrCat(who, " has ", dimensions,
                                            " dimensions, expected 1 to ",
                                            kMaxDimensions));
  }
  tensor.shape.resize(dimensions);
  int64_t elements = 1;
  for (uint32_t i = dimensions; i-- > 0;) {  // innermost first in the file
    uint64_t extent;
    if (!cursor_.Read(&extent)) return truncated();
    tensor.shape[i] = static_cast<int64_t>(extent);
    if (tensor.shape[i] < 1 ||
        __builtin_mul_overflow(elements, tensor.shape[i], &elements)) {
      return absl::DataLossError(
          absl::StrCat(who, " has a dimension of ", extent,
                       ": zero, or more elements than can be addressed"));
    }
  }
  if (!cursor_.Read(&type) || !cursor_.Read(&offset)) return truncated();
  const EncodingInfo* info = FindGgufType(type);
  if (info == nullptr) {
    std::string known;
    for (int i = 0; i < kEncodingCount; ++i) {
      absl::StrAppend(&known, i == 0 ? "" : ", ",
                      NameOf(static_cast<Encoding>(i)));
    }
    return absl::UnimplementedError(
        absl::StrCat(who, " has the GGUF type ", type,
                     ", which can't be read; expected one of ", known));
  }
  tensor.encoding = info->encoding;
  if (tensor.shape.back() % info->block_elements != 0) {
    return absl::DataLossError(absl::StrCat(
        who, " has rows of ", tensor.shape.back(), " elements, expected a ",
        "multiple of ", info->block_elements, " for ", info->name));
  }
  uint64_t size;
  if (__builtin_mul_overflow(
          static_cast<uint64_t>(elements / info->block_elements),
          static_cast<uint64_t>(info->block_bytes), &size)) {
    return absl::DataLossError(absl::StrCat(who, " is larger than memory"));
  }
  if (offset % alignment_ != 0) {
    return absl::DataLossError(absl::StrCat(who, " starts at offset ", offset,
                                            ", expected a multiple of ",
                                            alignment_));
  }
  if (!file_->tensor_index_.emplace(tensor.name, index).second) {
    return absl::DataLossError(absl::StrCat(who, " appears twice"));
  }
  file_->tensors_.push_back(std::move(tensor));
  offsets_.push_back(offset);
  sizes_.push_back(size);
  return absl::OkStatus();
}

absl::Status GgufParser::PlaceTensors() {
  const uint64_t padding =
      (alignment_ - cursor_.offset() % alignment_) % alignment_;
  const uint64_t start = cursor_.offset() + padding;
  const uint64_t available = bytes_.size() > start ? bytes_.size() - start : 0;
  for (size_t i = 0; i < offsets_.size(); ++i) {
    GgufTensor& tensor = file_->tensors_[i];
    if (offsets_[i] > available || sizes_[i] > available - offsets_[i]) {
      return absl::DataLossError(absl::StrCat(
          "tensor ", Quoted(tensor.name), " needs ", sizes_[i],
          " bytes at offset ", offsets_[i], " of the tensor data, but the ",
          "file holds only ", available, " bytes of it (truncated?)"));
    }
    tensor.data = bytes_.subspan(start + offsets_[i], sizes_[i]);
  }
  return CheckOverlap();
}

absl::Status GgufParser::CheckOverlap() const {
  std::vector<size_t> order(offsets_.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return offsets_[a] < offsets_[b]; });
  for (size_t i = 1; i < order.size(); ++i) {
    const size_t before = order[i - 1], after = order[i];
    if (offsets_[before] + sizes_[before] > offsets_[after]) {
      return absl::DataLossError(absl::StrCat(
          "tensors ", Quoted(file_->tensors_[before].name), " and ",
          Quoted(file_->tensors_[after].name), " overlap in the file"));
    }
  }
  return absl::OkStatus();
}

}  // namespace caracal
