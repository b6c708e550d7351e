// How much of each head's output the linear part carries.
#ifndef CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_
#define CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_

#include <cstdint>
#include <vector>

#include "kernels/common/tensor_view.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

// Sums over the rows whose L_n is not empty, per layer and head. Definitions:
//   la_mass           (linear part of den) / den
//   la_output_share   |linear part of y| / (|linear part| + |softmax part|)
//   teacher_out_mass  softmax mass of all keys that lies outside A_n
// (docs/method.md, section 5).
class AttentionStatistics {
 public:
  AttentionStatistics(int64_t layers, int64_t heads)
      : heads_(heads),
        la_mass_(layers * heads),
        la_output_share_(layers * heads),
        teacher_out_mass_(layers * heads),
        rows_(layers * heads) {}

  // What one row of one head contributes.
  struct Row {
    double la_mass, la_output_share, teacher_out_mass;
  };
  void Add(int64_t layer, int64_t head, const Row& row) {
    const int64_t i = layer * heads_ + head;
    la_mass_[i] += row.la_mass;
    la_output_share_[i] += row.la_output_share;
    teacher_out_mass_[i] += row.teacher_out_mass;
    ++rows_[i];
  }

  // Means; 0 where no row had a non-empty L_n.
  double la_mass(int64_t layer, int64_t head) const {
    return Mean(la_mass_, layer, head);
  }
  double la_output_share(int64_t layer, int64_t head) const {
    return Mean(la_output_share_, layer, head);
  }
  double teacher_out_mass(int64_t layer, int64_t head) const {
    return Mean(teacher_out_mass_, layer, head);
  }
  int64_t rows(int64_t layer, int64_t head) const {
    return rows_[layer * heads_ + head];
  }

 private:
  double Mean(const std::vector<double>& sum, int64_t layer,
              int64_t head) const {
    const int64_t i = layer * heads_ + head;
    return rows_[i] == 0 ? 0 : sum[i] / static_cast<double>(rows_[i]);
  }

  int64_t heads_;
  std::vector<double> la_mass_, la_output_share_, teacher_out_mass_;
  std::vector<int64_t> rows_;
};

// Whether L_n is empty for position n of a sequence.
inline bool LinearSetEmpty(const kernels::HybridAttentionConfig& config,
                           int64_t n) {
  return kernels::WindowStart(config.window_kind, config.window, n) <=
         config.sinks;
}

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_
