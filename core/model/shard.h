// Which part of a model a tensor-parallel rank holds.
#ifndef CARACAL_CORE_MODEL_SHARD_H_
#define CARACAL_CORE_MODEL_SHARD_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace caracal {

// [begin, end)
struct IndexRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// Rank `rank` of `size`. Attention is split by key/value group with its query
// heads (SplitHeads), the MLP by columns, the vocabulary by rows, the residual
// stream by tokens; counts that don't divide are split unevenly, the first
// ranks taking one more.
struct Shard {
  int rank = 0;
  int size = 1;

  IndexRange Of(int64_t total) const {
    const int64_t base = total / size, extra = total % size;
    const int64_t begin = rank * base + (rank < extra ? rank : extra);
    return {begin, begin + base + (rank < extra ? 1 : 0)};
  }
};

// The heads of one rank. Up to as many ranks as key/value heads share these
// out with their groups of query heads. More ranks share out each group's query
// heads, and each of them has the group's key/value head: `kv_shared`, then
// true on all ranks. Of a head's ranks the first is `kv_owner`.
struct HeadSplit {
  IndexRange heads, kv_heads;  // in the model's numbering
  bool kv_shared = false;
  bool kv_owner = true;
};

// kInvalidArgument when a rank would have no query head. heads is a multiple of
// kv_heads.
absl::StatusOr<HeadSplit> SplitHeads(int64_t heads, int64_t kv_heads,
                                     Shard shard);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_SHARD_H_
