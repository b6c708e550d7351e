#include "core/model/shard.h"

#include "absl/strings/str_cat.h"

namespace caracal {

absl::StatusOr<HeadSplit> SplitHeads(int64_t heads, int64_t kv_heads,
                                     Shard shard) {
  const int64_t group = heads / kv_heads;
  HeadSplit out;
  if (shard.size <= kv_heads) {
    out.kv_heads = shard.Of(kv_heads);
    out.heads = {out.kv_heads.begin * group, out.kv_heads.end * group};
    return out;
  }
  // The ranks of each key/value head lie side by side.
  for (int64_t kv = 0; kv < kv_heads; ++kv) {
    const IndexRange ranks =
        Shard{static_cast<int>(kv), static_cast<int>(kv_heads)}.Of(shard.size);
    if (ranks.size() > group) {
      return absl::InvalidArgumentError(absl::StrCat(
          heads, " query heads in ", kv_heads, " groups cannot be split over ",
          shard.size, " ranks: a group has ", group, " of them, for ",
          ranks.size(), " ranks"));
    }
    if (shard.rank < ranks.begin || shard.rank >= ranks.end) continue;
    const int within = shard.rank - static_cast<int>(ranks.begin);
    const IndexRange part =
        Shard{within, static_cast<int>(ranks.size())}.Of(group);
    out.kv_heads = {kv, kv + 1};
    out.heads = {kv * group + part.begin, kv * group + part.end};
    out.kv_shared = true;
    out.kv_owner = within == 0;
  }
  return out;
}

}  // namespace caracal
