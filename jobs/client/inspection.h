// What `caracal inspect` finds in a file, whatever its format, and how it is
// shown. Each format fills one (inspect_*.h).
#ifndef CARACAL_JOBS_CLIENT_INSPECTION_H_
#define CARACAL_JOBS_CLIENT_INSPECTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "jobs/client/console.h"
#include "nlohmann/json.hpp"

namespace caracal {

struct InspectedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::string type;    // "F32", "Q4_1", "i32"
  uint64_t bytes = 0;  // as stored
};

struct Inspection {
  struct Fact {
    std::string name;  // "context"; in JSON with '_' for ' '
    std::string text;
    nlohmann::ordered_json value;  // null: not in JSON
  };

  void Add(std::string name, std::string text, nlohmann::ordered_json value);
  // A text that is its own JSON value.
  void Add(const std::string& name, const std::string& text);

  std::string path;
  std::string format;  // "GGUF model"
  std::vector<Fact> facts;
  // Names and values of the file's own metadata, cut to a line each.
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<InspectedTensor> tensors;
  // What keeps the file from being used; OK: nothing that was looked for.
  absl::Status problem;
};

// Tensors that differ only in a number (a layer's) are shown as one line.
std::string InspectionText(const Inspection& inspection,
                           const Console& console);
std::string InspectionJson(const Inspection& inspection);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INSPECTION_H_
