// CRC-32C (Castagnoli): polynomial 0x1EDC6F41, reflected, initial value and
// final exclusive or 0xFFFFFFFF (RFC 3720, appendix B.4).
#ifndef CARACAL_CORE_BASE_CRC32C_H_
#define CARACAL_CORE_BASE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace caracal {

// A byte at a time: for small records. Thread-safe.
uint32_t Crc32c(absl::string_view bytes);

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_CRC32C_H_
