#include "core/base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/escaping.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

constexpr size_t kMostAtATime = 256;  // getentropy gives no more

}  // namespace

std::string RandomBytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t done = 0; done < count; done += kMostAtATime) {
    CARACAL_CHECK(
        getentropy(&bytes[done], std::min(kMostAtATime, count - done)) == 0)
        << "getentropy: " << std::strerror(errno);
  }
  return bytes;
}

std::string RandomHex(size_t bytes) {
  return absl::BytesToHexString(RandomBytes(bytes));
}

}  // namespace caracal
