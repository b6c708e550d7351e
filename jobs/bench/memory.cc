#include "jobs/bench/memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/file_system.h"
#include "eval/report/numbers.h"

namespace caracal {
namespace {

constexpr uint64_t kUnknown = std::numeric_limits<uint64_t>::max();

std::string ReadSystemFile(const char* path) {
  const absl::StatusOr<std::string> text = FileSystem::Posix()->ReadFile(path);
  return text.ok() ? *text : std::string();
}

// What `ulimit -v` leaves of the address space.
uint64_t AddressSpaceLeft() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return kUnknown;
  }
  const std::vector<std::string> pages =
      absl::StrSplit(ReadSystemFile("/proc/self/statm"), ' ');
  uint64_t used = 0;
  if (!absl::SimpleAtoi(pages[0], &used)) return limit.rlim_cur;
  used *= static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

// A control group's limit; what others in the group use is not taken off, so
// that nothing that might fit is refused.
uint64_t GroupLimit() {
  uint64_t limit;
  const std::string text = ReadSystemFile("/sys/fs/cgroup/memory.max");
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &limit) ? limit
                                                                    : kUnknown;
}

}  // namespace

uint64_t AvailableMemoryBytes() {
  return std::min({MemAvailable(ReadSystemFile("/proc/meminfo")),
                   AddressSpaceLeft(), GroupLimit()});
}

uint64_t MemAvailable(absl::string_view meminfo) {
  for (absl::string_view line : absl::StrSplit(meminfo, '\n')) {
    if (!absl::ConsumePrefix(&line, "MemAvailable:")) continue;
    line = absl::StripAsciiWhitespace(line);
    uint64_t kibibytes;
    if (absl::ConsumeSuffix(&line, " kB") &&
        absl::SimpleAtoi(line, &kibibytes)) {
      return kibibytes * 1024;
    }
  }
  return kUnknown;
}

uint64_t DenseWeightBytes(const WeightSource& source) {
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    uint64_t size = sizeof(float);
    for (const int64_t n : tensor.shape) size *= static_cast<uint64_t>(n);
    bytes += size;
  }
  return bytes;
}

absl::Status CheckWeightsFit(absl::string_view what, const WeightSource& source,
                             uint64_t available_bytes) {
  const uint64_t needed = DenseWeightBytes(source);
  if (needed <= available_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      what, ": the weights alone take ", Bytes(needed), " in fp32, but only ",
      Bytes(available_bytes), " of memory are available"));
}

}  // namespace caracal
