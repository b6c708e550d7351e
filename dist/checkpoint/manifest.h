// The manifest of a checkpoint: the small JSON file that is written last and
// says which files make it up. docs/formats/checkpoint.md describes it.
#ifndef CARACAL_DIST_CHECKPOINT_MANIFEST_H_
#define CARACAL_DIST_CHECKPOINT_MANIFEST_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file_system.h"
#include "dist/checkpoint/contents.h"

namespace caracal {

inline constexpr uint64_t kCheckpointFormatVersion = 1;
inline constexpr char kManifestName[] = "manifest.json";

struct RankFile {
  std::string name;  // in the checkpoint's folder
  uint64_t bytes = 0;
  std::string checksum;  // XXH3 of 128 bits, 32 lower-case hex digits
};

struct Manifest {
  uint64_t step = 0;
  ParallelLayout layout;
  std::string model_fingerprint;
  std::string job_fingerprint;
  // Of the rows trained on; "" in checkpoints of programs that did not say.
  std::string data_fingerprint;
  std::string validation_fingerprint;  // "": likewise, or no such rows
  std::string created_by;
  std::vector<RankFile> rank_files;  // by rank; as many as the layout says

  // Of all ranks' files.
  uint64_t bytes() const {
    uint64_t sum = 0;
    for (const RankFile& file : rank_files) sum += file.bytes;
    return sum;
  }
};

// "rank-00003.h5".
std::string RankFileName(uint64_t rank);

std::string FormatManifest(const Manifest& manifest);

// `path` is for messages only. Any text is safe to parse.
//   kDataLoss            not JSON, too large or nested too deeply, a field
//                        missing, twice there or of the wrong kind, or the
//                        manifest's own checksum differs
//   kFailedPrecondition  written in a newer version of the format
absl::StatusOr<Manifest> ParseManifest(absl::string_view text,
                                       absl::string_view path);

// kNotFound when the folder has no manifest: there is no checkpoint.
absl::StatusOr<Manifest> ReadManifest(FileSystem* file_system,
                                      const std::string& folder);

// XXH3 of 128 bits of a text and of a file, in hex.
std::string Checksum(absl::string_view text);
// Of a JSON object without its own field "checksum", in one spelling.
std::string ChecksumOfFields(nlohmann::json object);
absl::StatusOr<RankFile> DescribeRankFile(FileSystem* file_system,
                                          const std::string& folder,
                                          const std::string& name);

}  // namespace caracal

#endif  // CARACAL_DIST_CHECKPOINT_MANIFEST_H_
