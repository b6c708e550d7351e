#include "core/io/safetensors_file.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/base/status.h"
#include "core/io/byte_cursor.h"
#include "core/io/quoted.h"
#include "core/io/safetensors_header.h"

namespace caracal {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // of the format

// Fills shape and encoding; the number of bytes must match the offsets.
absl::Status Translate(const SafetensorsEntry& entry, SafetensorsTensor* out) {
  const std::string who = absl::StrCat("tensor ", Quoted(entry.name));
  const EncodingInfo* info = FindEncoding(entry.dtype.c_str());
  // Block encodings have no name in this format.
  if (info == nullptr || info->block_elements != 1) {
    return absl::UnimplementedError(
        absl::StrCat(who, " has dtype ", Quoted(entry.dtype),
                     ", expected F32, F16 or BF16"));
  }
  out->name = entry.name;
  out->encoding = info->encoding;
  uint64_t bytes = info->block_bytes;
  bool too_large = false;
  for (const uint64_t extent : entry.shape) {
    if (extent == 0) {
      return absl::DataLossError(absl::StrCat(who, " has a dimension of 0"));
    }
    too_large |= extent > uint64_t{std::numeric_limits<int64_t>::max()} ||
                 __builtin_mul_overflow(bytes, extent, &bytes);
    out->shape.push_back(static_cast<int64_t>(extent));
  }
  if (too_large) {
    return absl::DataLossError(
        absl::StrCat(who, " has more elements than can be addressed"));
  }
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end - begin != bytes) {
    return absl::DataLossError(absl::StrCat(who, " has data_offsets ", begin,
                                            " to ", end, ", expected ", bytes,
                                            " bytes for its shape and dtype"));
  }
  return absl::OkStatus();
}

// The data must lie one tensor after another and fill the file.
absl::Status CheckLayout(absl::Span<const SafetensorsEntry> entries,
                         uint64_t data_bytes) {
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::string who = absl::StrCat("tensor ", Quoted(entry.name));
    if (entry.offsets[0] < expected) {
      return absl::DataLossError(
          absl::StrCat(who, " overlaps the tensor before it: it begins at ",
                       entry.offsets[0], ", expected ", expected));
    }
    if (entry.offsets[0] > expected) {
      return absl::DataLossError(
          absl::StrCat(who, " leaves a hole before it: it begins at ",
                       entry.offsets[0], ", expected ", expected));
    }
    expected = entry.offsets[1];
    if (expected > data_bytes) {
      return absl::DataLossError(
          absl::StrCat(who, " ends at byte ", expected,
                       " of the data, but the file holds only ", data_bytes,
                       " bytes of it (truncated?)"));
    }
  }
  if (expected != data_bytes) {
    return absl::DataLossError(absl::StrCat(
        "the tensors end at byte ", expected, " of the data, but the file ",
        "holds ", data_bytes, " bytes of it"));
  }
  return absl::OkStatus();
}

absl::Status ParseTensors(absl::Span<const uint8_t> bytes,
                          std::vector<SafetensorsTensor>* tensors,
                          std::map<std::string, std::string>* metadata) {
  ByteCursor cursor(bytes);
  uint64_t header_bytes;
  if (!cursor.Read(&header_bytes)) {
    return absl::DataLossError(absl::StrCat(
        "file has ", bytes.size(), " bytes, too few for a safetensors header"));
  }
  if (header_bytes > kMaxHeaderBytes) {
    return absl::DataLossError(
        absl::StrCat("header length is ", header_bytes, ", expected at most ",
                     kMaxHeaderBytes, " (not a safetensors file?)"));
  }
  absl::string_view json;
  if (!cursor.ReadBytes(header_bytes, &json)) {
    return absl::DataLossError(absl::StrCat("header length is ", header_bytes,
                                            ", but the file has ", bytes.size(),
                                            " bytes (truncated?)"));
  }
  SafetensorsHeader header;
  RETURN_IF_ERROR(ParseSafetensorsHeader(json, &header));
  std::sort(header.entries.begin(), header.entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return a.offsets < b.offsets;
            });
  const absl::Span<const uint8_t> data = bytes.subspan(cursor.offset());
  for (const SafetensorsEntry& entry : header.entries) {
    tensors->emplace_back();
    RETURN_IF_ERROR(Translate(entry, &tensors->back()));
  }
  RETURN_IF_ERROR(CheckLayout(header.entries, data.size()));
  for (size_t i = 0; i < tensors->size(); ++i) {
    const std::vector<uint64_t>& offsets = header.entries[i].offsets;
    (*tensors)[i].data = data.subspan(offsets[0], offsets[1] - offsets[0]);
  }
  *metadata = std::move(header.metadata);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(
    const std::string& path, FileSystem* files) {
  ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> mapped, files->Map(path));
  ASSIGN_OR_RETURN(
      std::unique_ptr<SafetensorsFile> file,
      Parse(absl::MakeConstSpan(mapped->data(), mapped->size()), path));
  file->file_ = std::move(mapped);
  return file;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Parse(
    absl::Span<const uint8_t> bytes, const std::string& path) {
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  RETURN_IF_ERROR(
      Annotate(ParseTensors(bytes, &file->tensors_, &file->metadata_), path));
  return file;
}

}  // namespace caracal
