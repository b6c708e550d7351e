// Writes safetensors files for tests, broken ones too: nothing is checked.
#ifndef CARACAL_CORE_IO_SAFETENSORS_BUILDER_H_
#define CARACAL_CORE_IO_SAFETENSORS_BUILDER_H_

#include <cstdint>
#include <cstring>
#include <string>

namespace caracal {

// A file of this header, its length before it and `data` behind it.
inline std::string MakeSafetensors(const std::string& header,
                                   const std::string& data = "") {
  const uint64_t size = header.size();
  std::string out(sizeof(size), '\0');
  std::memcpy(out.data(), &size, sizeof(size));
  return out + header + data;
}

}  // namespace caracal

#endif  // CARACAL_CORE_IO_SAFETENSORS_BUILDER_H_
