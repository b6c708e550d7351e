#include "core/collective/traffic.h"

#include <algorithm>

#include "kernels/common/check.h"

namespace caracal {

int64_t EvenCount(int64_t n, int size, int rank) {
  return n / size + (rank < n % size ? 1 : 0);
}

int64_t EvenBegin(int64_t n, int size, int rank) {
  return n / size * rank + std::min<int64_t>(rank, n % size);
}

std::vector<int64_t> EvenCounts(int64_t n, int size) {
  std::vector<int64_t> counts(size);
  for (int rank = 0; rank < size; ++rank) {
    counts[rank] = EvenCount(n, size, rank);
  }
  return counts;
}

uint64_t ReduceScatterTraffic(absl::Span<const int64_t> counts,
                              uint64_t element_bytes, int rank) {
  uint64_t elements = 0;
  for (size_t r = 0; r < counts.size(); ++r) {
    if (static_cast<int>(r) != rank) elements += counts[r];
  }
  return elements * element_bytes;
}

uint64_t AllGatherTraffic(absl::Span<const int64_t> counts,
                          uint64_t element_bytes, int rank) {
  return counts[rank] * (counts.size() - 1) * element_bytes;
}

uint64_t AllReduceTraffic(int64_t n, uint64_t element_bytes, int rank,
                          int size) {
  if (size == 1) return 0;
  const int64_t mine = EvenCount(n, size, rank);
  return (n + mine * (size - 2)) * element_bytes;
}

uint64_t BroadcastTraffic(uint64_t bytes, int root, int rank, int size) {
  CARACAL_CHECK(root >= 0 && root < size) << "root " << root << " of " << size;
  const int after_root = (rank - root + size) % size;
  uint64_t sent = 0;
  for (int step = 1; after_root + step < size; step *= 2) {
    if ((after_root & step) != 0) break;
    sent += bytes;
  }
  return sent;
}

uint64_t AllGatherBytesTraffic(uint64_t bytes, int size) {
  return bytes * (size - 1);
}

}  // namespace caracal
