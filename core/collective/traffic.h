// Bytes that one rank sends in each operation of a Collective: what the
// operations are made of, and what a plan of a job adds up. Control messages
// (a barrier's, a library's own) are not counted.
#ifndef CARACAL_CORE_COLLECTIVE_TRAFFIC_H_
#define CARACAL_CORE_COLLECTIVE_TRAFFIC_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace caracal {

// `n` things shared out to `size` ranks as evenly as can be: the first n % size
// ranks have one more than the others.
int64_t EvenCount(int64_t n, int size, int rank);
int64_t EvenBegin(int64_t n, int size, int rank);  // the first of rank's
std::vector<int64_t> EvenCounts(int64_t n, int size);

// Every piece goes straight to the rank that sums it:
// (sum of counts - counts[rank]) * element_bytes.
uint64_t ReduceScatterTraffic(absl::Span<const int64_t> counts,
                              uint64_t element_bytes, int rank);

// The rank's piece goes to each other rank:
// counts[rank] * (size - 1) * element_bytes.
uint64_t AllGatherTraffic(absl::Span<const int64_t> counts,
                          uint64_t element_bytes, int rank);

// A reduce-scatter and an all-gather of EvenCounts(n, size): with c of them on
// this rank, (n + c * (size - 2)) * element_bytes, and 0 for one rank. That is
// 2 * n * (size - 1) / size elements where n divides.
uint64_t AllReduceTraffic(int64_t n, uint64_t element_bytes, int rank,
                          int size);

// A binomial tree: the rank that is d after the root (round the group) sends
// all bytes to the ranks d + 1, d + 2, d + 4, ... after it that are in the
// group and below the next multiple of the lowest set bit of d (the root: all
// powers of two below size).
uint64_t BroadcastTraffic(uint64_t bytes, int root, int rank, int size);

// bytes * (size - 1).
uint64_t AllGatherBytesTraffic(uint64_t bytes, int size);

}  // namespace caracal

#endif  // CARACAL_CORE_COLLECTIVE_TRAFFIC_H_
