#include "jobs/coordinator/service/left_metrics.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace caracal {
namespace {

// As of what gangs send.
constexpr size_t kLongestLine = 16 << 10;
constexpr uint64_t kPiece = 4 * kLongestLine;

// Of a line; 0 when it is none.
int64_t StepOf(absl::string_view line) {
  return ProgressOf(std::string(line)).global_step;
}

absl::StatusOr<std::string> ReadPiece(RandomAccessFile& file, uint64_t offset,
                                      uint64_t bytes) {
  std::string text(bytes, '\0');
  ASSIGN_OR_RETURN(const size_t got, file.ReadAt(offset, bytes, text.data()));
  text.resize(got);
  return text;
}

// The first byte of a line that is not after step `step`, or of the file: not
// far before the line that is.
absl::StatusOr<uint64_t> FindNear(RandomAccessFile& file, int64_t step) {
  uint64_t begin = 0;
  ASSIGN_OR_RETURN(uint64_t end, file.Size());
  while (end - begin > kPiece) {
    const uint64_t middle = begin + (end - begin) / 2;
    ASSIGN_OR_RETURN(const std::string text,
                     ReadPiece(file, middle, 2 * kLongestLine));
    // Its first whole line.
    const size_t before = text.find('\n');
    const size_t after =
        before == std::string::npos ? before : text.find('\n', before + 1);
    const int64_t at = after == std::string::npos
                           ? 0
                           : StepOf(absl::string_view(text).substr(
                                 before + 1, after - before - 1));
    if (at > 0 && at <= step) {
      begin = middle + before + 1;
    } else {
      end = middle;
    }
  }
  return begin;
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
                                                      int64_t step,
                                                      size_t most) {
  ASSIGN_OR_RETURN(const std::unique_ptr<RandomAccessFile> file,
                   files->Open(path));
  ASSIGN_OR_RETURN(uint64_t at, FindNear(*file, step));
  std::vector<std::string> lines;
  int64_t next = step + 1;
  std::string rest;  // that was read and is not looked at
  while (lines.size() < most && rest.size() <= kLongestLine) {
    ASSIGN_OR_RETURN(const std::string piece, ReadPiece(*file, at, kPiece));
    if (piece.empty()) break;
    at += piece.size();
    rest += piece;
    size_t begin = 0;
    for (size_t end; lines.size() < most &&
                     (end = rest.find('\n', begin)) != std::string::npos;
         begin = end + 1) {
      const std::string line = rest.substr(begin, end - begin);
      const int64_t known = StepOf(line);
      if (known > 0 && known < next) continue;
      if (known != next) return lines;
      lines.push_back(line);
      ++next;
    }
    rest.erase(0, begin);
  }
  return lines;
}

}  // namespace caracal
