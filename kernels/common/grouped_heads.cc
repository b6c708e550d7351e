#include "kernels/common/grouped_heads.h"

namespace caracal::kernels {

bool SplitGroups(int64_t tasks, int64_t group, int64_t threads) {
  const int64_t rounds = (tasks + threads - 1) / threads;
  return group > 1 && rounds * threads * 8 > tasks * 9;
}

void ReduceGroups(ThreadPool& pool, const float* parts, int64_t part_rows,
                  int64_t heads, int64_t group, int64_t rows, int64_t D,
                  int64_t first, HeadRows<float> to) {
  pool.ParallelRanges(rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t head = 0; head < heads; ++head) {
        float* out = to.at(first + r, head / group);
        const float* in = parts + (head * part_rows + r) * D;
        const bool assign = head % group == 0;
        for (int64_t d = 0; d < D; ++d) {
          out[d] = assign ? in[d] : out[d] + in[d];
        }
      }
    }
  });
}

}  // namespace caracal::kernels
