#include "core/model/ops/attention_parts.h"

#include <algorithm>
#include <cmath>

namespace caracal {
namespace {

double Norm(const float* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return std::sqrt(sum);
}

}  // namespace

void AddParts(int layer, const kernels::HybridAttentionConfig& config,
              const TokenBatch& batch, const AttentionParts& parts,
              AttentionStatistics* statistics) {
  const int64_t rows = parts.soft_y.shape[0], heads = parts.soft_y.shape[1];
  const int64_t dim = parts.soft_y.shape[2];
  for (int64_t h = 0; h < heads; ++h) {
    const double log_gamma =
        -std::log1p(std::exp(-parts.window_factor.f32()[h]));
    for (int64_t s = 0; s < batch.sequences; ++s) {
      const int64_t length = batch.offsets[s + 1] - batch.offsets[s];
      for (int64_t r = batch.offsets[s]; r < batch.offsets[s + 1]; ++r) {
        const int64_t position = r - batch.offsets[s];
        if (LinearSetEmpty(config, position, length)) continue;
        const int64_t i = h * rows + r;
        const double s_den = parts.soft_den.f32()[i];
        const double l_den = parts.linear_den.f32()[i];
        const double l_norm =
            l_den * Norm(parts.linear_y.f32() + (r * heads + h) * dim, dim);
        const double s_norm =
            s_den * Norm(parts.soft_y.f32() + (r * heads + h) * dim, dim);
        // log of the softmax mass of A_n, on the scale of the full one.
        const double lse = parts.lse.f32()[i];
        const double log_inside =
            parts.soft_max.f32()[i] + std::log(s_den) - log_gamma - lse;
        const double sink_den = parts.sinks_den.f32()[i];
        const double student_sinks =
            config.sinks > 0 ? sink_den
                             : l_den - parts.past_linear_den.f32()[i];
        statistics->Add(
            layer, h, position,
            {.la_mass = l_den / (s_den + l_den),
             .la_output_share = l_norm / (l_norm + s_norm),
             .teacher_out_mass = std::max(0.0, -std::expm1(log_inside)),
             .sink_mass = std::max(0.0, student_sinks / (s_den + l_den)),
             .teacher_sink_mass =
                 sink_den == 0
                     ? 0
                     : std::exp(parts.sinks_max.f32()[i] + std::log(sink_den) -
                                log_gamma - lse)});
      }
    }
  }
}

}  // namespace caracal
