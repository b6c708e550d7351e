#include "core/io/hdf5/old_attributes.h"

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/io/byte_cursor.h"

namespace caracal::hdf5::internal {
namespace {

constexpr uint16_t kAttributeMessage = 0x0C;
constexpr uint16_t kContinuationMessage = 0x10;
constexpr uint8_t kSharedFlag = 2;
constexpr uint64_t kPrefixBytes = 16;
// More than any header of the world holds.
constexpr uint64_t kMaxHeaderBytes = 4 << 20;
constexpr int kMaxTypeDepth = 8;

uint64_t PaddedTo8(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

bool Skip(ByteCursor* cursor, uint64_t bytes) {
  absl::string_view skipped;
  return bytes <= cursor->remaining() && cursor->ReadBytes(bytes, &skipped);
}

// Moves behind an encoded type; `size`: the bytes of one value. False: it is
// longer than what is there, or compound.
bool SkipType(ByteCursor* cursor, int depth, uint32_t* size) {
  uint32_t head = 0;
  if (depth > kMaxTypeDepth || !cursor->Read(&head) || !cursor->Read(size)) {
    return false;
  }
  const uint32_t type_class = head & 15, version = head >> 4 & 15;
  const uint32_t bits = head >> 8;
  uint32_t inner = 0;
  switch (type_class) {
    case 0:  // integer
    case 4:  // bit field
      return Skip(cursor, 4);
    case 1:  // float
      return Skip(cursor, 12);
    case 2:  // time
      return Skip(cursor, 2);
    case 3:  // string
    case 7:  // reference
      return true;
    case 5:  // opaque, with a tag
      return Skip(cursor, bits & 0xFF);
    case 8: {  // enumeration: names, then values
      if (!SkipType(cursor, depth + 1, &inner)) return false;
      const uint32_t members = bits & 0xFFFF;
      for (uint32_t i = 0; i < members; ++i) {
        uint64_t length = 0;
        char letter = 0;
        do {
          if (!cursor->Read(&letter)) return false;
          ++length;
        } while (letter != '\0');
        if (version < 3 && !Skip(cursor, PaddedTo8(length) - length)) {
          return false;
        }
      }
      return Skip(cursor, uint64_t{members} * inner);
    }
    case 9:  // variable length
      return SkipType(cursor, depth + 1, &inner);
    case 10: {  // array
      uint8_t rank = 0;
      if (!cursor->Read(&rank)) return false;
      const uint64_t bytes = version < 3 ? 3 + 8 * rank : 4 * rank;
      return Skip(cursor, bytes) && SkipType(cursor, depth + 1, &inner);
    }
    default:
      return false;
  }
}

// Moves behind an encoded dataspace; `count`: its elements.
bool SkipSpace(ByteCursor* cursor, uint64_t* count) {
  uint8_t version = 0, rank = 0, flags = 0, kind = 0;
  if (!cursor->Read(&version) || !cursor->Read(&rank) ||
      !cursor->Read(&flags) || !cursor->Read(&kind) || version < 1 ||
      version > 2 || rank > H5S_MAX_RANK || (flags & ~1) != 0) {
    return false;
  }
  if (version == 1 && !Skip(cursor, 4)) return false;
  Shape shape(rank);
  for (uint64_t& extent : shape) {
    if (!cursor->Read(&extent)) return false;
  }
  *count = version == 2 && kind == 2 ? 0 : ElementCount(shape);
  return (flags & 1) == 0 || Skip(cursor, 8 * rank);
}

absl::Span<const uint8_t> BytesOf(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Whether an attribute lies within its message.
bool Fits(absl::string_view message) {
  ByteCursor cursor(BytesOf(message));
  uint8_t version = 0, flags = 0, character_set = 0;
  uint16_t name_bytes = 0, type_bytes = 0, space_bytes = 0;
  if (!cursor.Read(&version) || !cursor.Read(&flags) ||
      !cursor.Read(&name_bytes) || !cursor.Read(&type_bytes) ||
      !cursor.Read(&space_bytes) || version < 1 || version > 3 ||
      (version > 1 && flags != 0) ||
      (version == 3 && !cursor.Read(&character_set))) {
    return false;
  }
  const auto padded = [version](uint64_t bytes) {
    return version == 1 ? PaddedTo8(bytes) : bytes;
  };
  absl::string_view name, type, space;
  if (!cursor.ReadBytes(padded(name_bytes), &name) ||
      !cursor.ReadBytes(padded(type_bytes), &type) ||
      !cursor.ReadBytes(padded(space_bytes), &space) ||
      name.substr(0, name_bytes).find('\0') == absl::string_view::npos) {
    return false;
  }
  ByteCursor type_cursor(BytesOf(type)), space_cursor(BytesOf(space));
  uint32_t size = 0;
  uint64_t count = 0;
  return SkipType(&type_cursor, 0, &size) && SkipSpace(&space_cursor, &count) &&
         (size == 0 || count <= cursor.remaining() / size);
}

// Looks at the messages of one part of a header; adds the parts it goes on in.
bool CheckPart(absl::string_view part,
               std::vector<std::pair<uint64_t, uint64_t>>* parts) {
  ByteCursor cursor(BytesOf(part));
  while (cursor.remaining() >= 8) {
    uint16_t type = 0, bytes = 0;
    uint8_t flags = 0;
    absl::string_view message;
    if (!cursor.Read(&type) || !cursor.Read(&bytes) || !cursor.Read(&flags) ||
        !Skip(&cursor, 3) || !cursor.ReadBytes(bytes, &message)) {
      return false;
    }
    if (type == kAttributeMessage &&
        ((flags & kSharedFlag) != 0 || !Fits(message))) {
      return false;
    }
    if (type == kContinuationMessage) {
      ByteCursor place(BytesOf(message));
      std::pair<uint64_t, uint64_t> next;
      if (!place.Read(&next.first) || !place.Read(&next.second)) return false;
      parts->push_back(next);
    }
  }
  return true;
}

absl::Status Bad(const FileState& file, const std::string& name) {
  return file.Error(absl::StatusCode::kDataLoss, name,
                    "the lengths of its attributes make no sense, or one is of "
                    "a compound or shared type");
}

}  // namespace

absl::Status CheckOldAttributes(const FileState& file, hid_t object,
                                const std::string& name) {
  if (file.writable) return absl::OkStatus();
  H5O_info_t info;
  if (H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_HDR) < 0) {
    return file.Failure(name, "can't read the header");
  }
  if (info.hdr.version != 1) return absl::OkStatus();
  const Handle properties(H5Fget_create_plist(file.id), H5Pclose);
  hsize_t base = 0;
  size_t address_bytes = 0, length_bytes = 0;
  if (H5Pget_userblock(properties.get(), &base) < 0 ||
      H5Pget_sizes(properties.get(), &address_bytes, &length_bytes) < 0) {
    return file.Failure(name, "can't read the sizes of addresses");
  }
  if (address_bytes != 8 || length_bytes != 8) return Bad(file, name);
  // Addresses and lengths; the first part begins with the prefix.
  std::vector<std::pair<uint64_t, uint64_t>> parts = {
      {info.addr, kPrefixBytes}};
  uint64_t total = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto [address, length] = parts[i];
    total += length;
    if (length > kMaxHeaderBytes || total > kMaxHeaderBytes ||
        base > file.storage.size || address > file.storage.size - base ||
        length > file.storage.size - base - address) {
      return Bad(file, name);
    }
    std::string part(length, '\0');
    ASSIGN_OR_RETURN(const size_t n, file.storage.file->ReadAt(
                                         base + address, length, part.data()));
    if (n < length) return Bad(file, name);
    if (i == 0) {
      // Its length is the fourth number of the prefix.
      ByteCursor prefix(BytesOf(part));
      uint32_t first_bytes = 0;
      if (!Skip(&prefix, 8) || !prefix.Read(&first_bytes)) {
        return Bad(file, name);
      }
      parts.push_back({address + kPrefixBytes, first_bytes});
    } else if (!CheckPart(part, &parts)) {
      return Bad(file, name);
    }
  }
  return absl::OkStatus();
}

}  // namespace caracal::hdf5::internal
