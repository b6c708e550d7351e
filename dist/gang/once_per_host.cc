#include "dist/gang/once_per_host.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

using Text = std::array<char, 256>;  // ends with a zero

}  // namespace

absl::StatusOr<std::string> OncePerHost(Gang& gang, absl::string_view what,
                                        FunctionRef<std::string()> compute) {
  if (gang.alone()) return compute();
  const std::string key = absl::StrCat(gang.host(), "\n", what);
  const XXH128_hash_t mine = XXH3_128bits(key.data(), key.size());
  std::vector<XXH128_hash_t> keys(gang.size());
  RETURN_IF_ERROR(
      gang.world().AllGatherBytes(&mine, sizeof(mine), keys.data()));
  const auto first = std::find_if(
      keys.begin(), keys.end(),
      [&](const XXH128_hash_t& other) { return XXH128_isEqual(other, mine); });
  const auto computes = static_cast<int>(first - keys.begin());
  Text text = {};
  if (computes == gang.rank()) {
    const std::string result = compute();
    CARACAL_CHECK(result.size() < text.size()) << result.size() << " bytes";
    std::memcpy(text.data(), result.data(), result.size());
  }
  std::vector<Text> texts(gang.size());
  RETURN_IF_ERROR(
      gang.world().AllGatherBytes(text.data(), text.size(), texts.data()));
  return std::string(texts[computes].data());
}

}  // namespace caracal
