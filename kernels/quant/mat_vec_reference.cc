#include "kernels/quant/mat_vec_reference.h"

namespace caracal::kernels::reference {

void MatVecRows(const MatVecTask& task, int64_t row_begin, int64_t row_end) {
  const EncodingInfo& info = InfoOf(task.w.encoding);
  const int64_t blocks = task.w.columns / info.block_elements;
  float values[kMaxBlockElements];
  for (int64_t r = row_begin; r < row_end; ++r) {
    for (int64_t b = 0; b < task.batch; ++b) {
      const float* x = task.x + b * task.x_stride;
      float sum = 0;
      for (int64_t i = 0; i < blocks; ++i) {
        info.dequantize(task.w.row(r) + i * info.block_bytes, 1, values);
        for (int k = 0; k < info.block_elements; ++k) {
          sum += values[k] * x[i * info.block_elements + k];
        }
      }
      float& y = task.y[b * task.y_stride + r];
      y = task.beta == 0 ? sum : task.beta * y + sum;
    }
  }
}

}  // namespace caracal::kernels::reference
