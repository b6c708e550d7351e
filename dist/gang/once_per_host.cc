#include "dist/gang/once_per_host.h"

#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/collective/gather_text.h"

namespace caracal {

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
  ASSIGN_OR_RETURN(
      const std::vector<std::string> results,
      GatherText(gang.world(), computes == gang.rank() ? compute() : ""));
  return results[computes];
}

}  // namespace caracal
