// Which part of a model a tensor-parallel rank holds.
#ifndef CARACAL_CORE_MODEL_SHARD_H_
#define CARACAL_CORE_MODEL_SHARD_H_

#include <cstdint>

namespace caracal {

// [begin, end)
struct IndexRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};

// Rank `rank` of `size`. Attention is split by key/value group with its query
// heads, the MLP by columns, the vocabulary by rows; counts that don't divide
// are split unevenly, the first ranks taking one more.
struct Shard {
  int rank = 0;
  int size = 1;

  IndexRange Of(int64_t total) const {
    const int64_t base = total / size, extra = total % size;
    const int64_t begin = rank * base + (rank < extra ? rank : extra);
    return {begin, begin + base + (rank < extra ? 1 : 0)};
  }
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_SHARD_H_
