// Reads the JSON header of a safetensors file as a stream of tokens, with no
// document in between: memory stays proportional to the header, and anything
// the format does not have is refused where it stands.
#ifndef CARACAL_CORE_IO_SAFETENSORS_HEADER_H_
#define CARACAL_CORE_IO_SAFETENSORS_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// An entry as the header states it; nothing is checked but its form.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;  // begin and end
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;
  std::map<std::string, std::string> metadata;
};

// kDataLoss, saying what is wrong with which entry.
absl::Status ParseSafetensorsHeader(absl::string_view json,
                                    SafetensorsHeader* out);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_SAFETENSORS_HEADER_H_
