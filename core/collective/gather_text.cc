#include "core/collective/gather_text.h"

#include <algorithm>
#include <cstdint>

#include "core/base/status.h"

namespace caracal {

absl::StatusOr<std::vector<std::string>> GatherText(Collective& group,
                                                    absl::string_view mine) {
  const uint64_t length = mine.size();
  std::vector<uint64_t> lengths(group.size());
  RETURN_IF_ERROR(
      group.AllGatherBytes(&length, sizeof(length), lengths.data()));
  const size_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::vector<std::string> all(group.size());
  if (longest == 0) return all;
  std::string padded(mine);
  padded.resize(longest);
  std::string joined(longest * group.size(), '\0');
  RETURN_IF_ERROR(group.AllGatherBytes(padded.data(), longest, joined.data()));
  for (int r = 0; r < group.size(); ++r) {
    all[r] = joined.substr(r * longest, lengths[r]);
  }
  return all;
}

}  // namespace caracal
