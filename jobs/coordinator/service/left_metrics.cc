#include "jobs/coordinator/service/left_metrics.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace caracal {
namespace {

constexpr uint64_t kFirstPiece = 64 << 10;
// As of what gangs send.
constexpr size_t kLongestLine = 16 << 10;

// Of a line; 0 when it is none.
int64_t StepOf(absl::string_view line) {
  return ProgressOf(std::string(line)).global_step;
}

}  // namespace

JobProgress ProgressOf(const std::string& line) {
  const absl::StatusOr<nlohmann::json> json =
      ParseBoundedJson(line, kLongestLine);
  if (!json.ok() || !json->is_object()) return {};
  JobProgress progress;
  const JsonFields fields(*json);
  if (!fields.Get("global_step", &progress.global_step).ok() ||
      !fields.Get("stage", &progress.stage).ok()) {
    return {};
  }
  return progress;
}

absl::StatusOr<std::vector<std::string>> MetricsAfter(FileSystem* files,
                                                      const std::string& path,
                                                      int64_t step) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                   files->Open(path));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  // From the end, twice as much each time, until it begins with a line that is
  // known.
  std::string text;
  for (uint64_t piece = kFirstPiece;; piece *= 2) {
    const uint64_t bytes = std::min(piece, size);
    text.resize(bytes);
    ASSIGN_OR_RETURN(const size_t got,
                     file->ReadAt(size - bytes, bytes, text.data()));
    text.resize(got);
    if (bytes == size) break;
    const size_t end = text.find('\n');
    text.erase(0, end == std::string::npos ? text.size() : end + 1);
    const absl::string_view first =
        absl::string_view(text).substr(0, text.find('\n'));
    const int64_t known = StepOf(first);
    if (known > 0 && known <= step) break;
  }
  std::vector<std::string> lines;
  absl::string_view rest = text;
  int64_t next = step + 1;
  for (size_t end; (end = rest.find('\n')) != absl::string_view::npos;
       rest.remove_prefix(end + 1)) {
    const absl::string_view line = rest.substr(0, end);
    const int64_t at = StepOf(line);
    if (at > 0 && at < next) continue;
    if (at != next) break;
    lines.emplace_back(line);
    ++next;
  }
  return lines;
}

}  // namespace caracal
