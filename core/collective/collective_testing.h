// What every implementation of Collective must do, as checks that each rank of
// a group runs: the tests of threads, of MPI and of the single process share
// them.
#ifndef CARACAL_CORE_COLLECTIVE_COLLECTIVE_TESTING_H_
#define CARACAL_CORE_COLLECTIVE_COLLECTIVE_TESTING_H_

#include <cstdint>
#include <vector>

#include "core/collective/collective.h"

namespace caracal::collective_testing {

// Each compares with a plain computation, bit for bit (reductions in rank
// order), and looks for elements written that are not the rank's. Failures are
// those of GoogleTest.
void CheckAllReduce(Collective& group, int64_t n, DType dtype);
void CheckReduceScatter(Collective& group, const std::vector<int64_t>& counts,
                        DType dtype, bool in_place);
void CheckAllGather(Collective& group, const std::vector<int64_t>& counts,
                    DType dtype, bool in_place);
void CheckBroadcast(Collective& group, int64_t n, DType dtype, int root);
void CheckAllGatherBytes(Collective& group, size_t bytes);
// Several messages of different sizes round a ring; needs two ranks.
void CheckRing(Collective& group, int64_t n, DType dtype);
// The largest value wins, and with `nan_wins` NaN over all.
void CheckMaximum(Collective& group, DType dtype, bool nan_wins = true);

// All of the above over dtypes, sizes from 0 to `largest` elements, uneven and
// empty pieces, and every root; and that the bytes sent are those of traffic.h.
void CheckEverything(Collective& group, int64_t largest, bool nan_wins = true);

// Counts that differ from rank to rank, with empty ones among them.
std::vector<int64_t> UnevenCounts(int size, int64_t scale);

}  // namespace caracal::collective_testing

#endif  // CARACAL_CORE_COLLECTIVE_COLLECTIVE_TESTING_H_
