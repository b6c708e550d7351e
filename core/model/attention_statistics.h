// How much of each head's output the linear part carries.
#ifndef CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_
#define CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/common/tensor_view.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

// Keys that count as sink positions where attention has no sinks.
inline constexpr int64_t kSinkPositions = 4;

// Sums over the rows whose L_n is not empty, per layer and head, and per
// bucket of positions. Definitions:
//   la_mass           (linear part of den) / den
//   la_output_share   |linear part of y| / (|linear part| + |softmax part|)
//   teacher_out_mass  softmax mass of all keys that lies outside A_n
//   sink_mass, teacher_sink_mass   what student and teacher put on the sink
//                     positions left of the window: the first S keys, which
//                     softmax attends to, or without sinks the first
//                     kSinkPositions, which are part of L_n
// (docs/method.md, section 5).
class AttentionStatistics {
 public:
  // What one row of one head contributes; also means of such.
  struct Row {
    double la_mass = 0, la_output_share = 0, teacher_out_mass = 0;
    double sink_mass = 0, teacher_sink_mass = 0;
  };

  // `bucket_tokens` positions a bucket; 0: no buckets.
  AttentionStatistics(int64_t layers, int64_t heads, int64_t bucket_tokens = 0)
      : heads_(heads), bucket_tokens_(bucket_tokens), sums_(layers * heads) {}

  // `position` of the row in its sequence.
  void Add(int64_t layer, int64_t head, int64_t position, const Row& row) {
    sums_[layer * heads_ + head].Add(row);
    if (bucket_tokens_ == 0) return;
    const size_t bucket = position / bucket_tokens_;
    if (buckets_.size() <= bucket) buckets_.resize(bucket + 1);
    buckets_[bucket].Add(row);
  }

  // Means; 0 where no row had a non-empty L_n.
  Row mean(int64_t layer, int64_t head) const {
    return sums_[layer * heads_ + head].Mean();
  }
  double la_mass(int64_t layer, int64_t head) const {
    return mean(layer, head).la_mass;
  }
  double la_output_share(int64_t layer, int64_t head) const {
    return mean(layer, head).la_output_share;
  }
  double teacher_out_mass(int64_t layer, int64_t head) const {
    return mean(layer, head).teacher_out_mass;
  }
  int64_t rows(int64_t layer, int64_t head) const {
    return sums_[layer * heads_ + head].rows;
  }

  // Bucket i holds the positions [i, i + 1) * bucket_tokens of all layers and
  // heads.
  int64_t bucket_tokens() const { return bucket_tokens_; }
  int64_t buckets() const { return static_cast<int64_t>(buckets_.size()); }
  Row bucket_mean(int64_t bucket) const { return buckets_[bucket].Mean(); }
  int64_t bucket_rows(int64_t bucket) const { return buckets_[bucket].rows; }

 private:
  struct Sums {
    Row sum;
    int64_t rows = 0;

    void Add(const Row& row) {
      sum.la_mass += row.la_mass;
      sum.la_output_share += row.la_output_share;
      sum.teacher_out_mass += row.teacher_out_mass;
      sum.sink_mass += row.sink_mass;
      sum.teacher_sink_mass += row.teacher_sink_mass;
      ++rows;
    }
    Row Mean() const {
      if (rows == 0) return {};
      const double n = static_cast<double>(rows);
      return {sum.la_mass / n, sum.la_output_share / n,
              sum.teacher_out_mass / n, sum.sink_mass / n,
              sum.teacher_sink_mass / n};
    }
  };

  int64_t heads_, bucket_tokens_;
  std::vector<Sums> sums_;     // [layers, heads]
  std::vector<Sums> buckets_;  // as many as positions were seen for
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_ATTENTION_STATISTICS_H_
