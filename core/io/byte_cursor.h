// Reads little-endian values from a byte range without ever leaving it.
#ifndef CARACAL_CORE_IO_BYTE_CURSOR_H_
#define CARACAL_CORE_IO_BYTE_CURSOR_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace caracal {

// A position in a byte range. Every function returns false, and moves
// nothing, when fewer bytes are left than it needs.
class ByteCursor {
 public:
  explicit ByteCursor(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  template <typename T>
  bool Read(T* out) {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return false;
    std::memcpy(out, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return true;
  }

  // The next `size` bytes, as a view into the range.
  bool ReadBytes(uint64_t size, absl::string_view* out) {
    if (remaining() < size) return false;
    *out = absl::string_view(
        reinterpret_cast<const char*>(bytes_.data()) + offset_, size);
    offset_ += size;
    return true;
  }

  // A string behind its length as a u64.
  bool ReadString(absl::string_view* out) {
    const uint64_t start = offset_;
    uint64_t size;
    if (Read(&size) && ReadBytes(size, out)) return true;
    offset_ = start;
    return false;
  }

 private:
  absl::Span<const uint8_t> bytes_;
  uint64_t offset_ = 0;
};

}  // namespace caracal

#endif  // CARACAL_CORE_IO_BYTE_CURSOR_H_
