// Grouped-query attention's backward: G query heads share a key/value head, so
// dk and dv are sums over G heads. Either one task runs the G heads one after
// another and adds each to the last, or every head is a task that writes its
// own part, and the parts are added afterwards. Both add in the same order:
// the results agree to the bit.
#ifndef CARACAL_KERNELS_COMMON_GROUPED_HEADS_H_
#define CARACAL_KERNELS_COMMON_GROUPED_HEADS_H_

#include <cstdint>

#include "kernels/common/head_rows.h"
#include "kernels/common/thread_pool.h"

namespace caracal::kernels {

// Whether `tasks` of one group each would leave threads idle more than an
// eighth of the time.
bool SplitGroups(int64_t tasks, int64_t group, int64_t threads);

// to [rows, heads / group, D], from row `first` on, = the sum over each group
// of parts [heads, part_rows, D], of which the first `rows` rows are in use.
void ReduceGroups(ThreadPool& pool, const float* parts, int64_t part_rows,
                  int64_t heads, int64_t group, int64_t rows, int64_t D,
                  int64_t first, HeadRows<float> to);

}  // namespace caracal::kernels

#endif  // CARACAL_KERNELS_COMMON_GROUPED_HEADS_H_
