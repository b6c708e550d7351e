// The index of a checkpoint that is sharded over several safetensors files.
#ifndef CARACAL_CORE_IO_SAFETENSORS_INDEX_H_
#define CARACAL_CORE_IO_SAFETENSORS_INDEX_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace caracal {

// Parses model.safetensors.index.json: tensor name -> file name. File names
// must be plain names ending in .safetensors, so that an index can't reach
// outside its folder. kDataLoss, naming the entry.
absl::StatusOr<std::map<std::string, std::string>> ParseSafetensorsIndex(
    absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_CORE_IO_SAFETENSORS_INDEX_H_
