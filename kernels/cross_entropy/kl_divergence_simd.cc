#include "kernels/common/simd_loop.h"
#include "kernels/cross_entropy/kl_divergence_loops.h"

namespace caracal::kernels::CARACAL_SIMD_NS {
namespace {

using namespace ::caracal::CARACAL_SIMD_NS;  // NOLINT: Vec and its functions

float Divergence(const KlRow<float>& row, const float* teacher) {
  const Vec lse = Set(row.lse), teacher_lse = Set(row.teacher_lse);
  const bool forward = row.direction == KlDirection::kForward;
  const auto term = [&](Vec s, Vec t) {
    const Vec log_q = s - lse, log_p = t - teacher_lse;
    return forward ? Exp(log_p) * (log_p - log_q)
                   : Exp(log_q) * (log_q - log_p);
  };
  Vec sum = Zero(), sum2 = Zero();
  constexpr int kLanes = Vec::kLanes;
  int64_t i = 0;
  for (; i + 2 * kLanes <= row.n; i += 2 * kLanes) {
    sum = sum + term(Load(row.logits + i), Load(teacher + i));
    sum2 =
        sum2 + term(Load(row.logits + i + kLanes), Load(teacher + i + kLanes));
  }
  for (; i < row.n; i += kLanes) {
    const int left = row.n - i < kLanes ? static_cast<int>(row.n - i) : kLanes;
    const Vec last =
        term(LoadN(row.logits + i, left), LoadN(teacher + i, left));
    sum = sum + SelectFirst(left, last, Zero());
  }
  return ReduceAdd(sum + sum2);
}

void Gradient(const KlRow<float>& row, float kl, float weight, float* teacher) {
  const Vec lse = Set(row.lse), teacher_lse = Set(row.teacher_lse);
  const Vec scale = Set(weight), divergence = Set(kl);
  const float* const logits = row.logits;
  if (row.direction == KlDirection::kForward) {
    ForEachVector(row.n, [=](int64_t i, auto lanes) {
      const Vec q = Exp(lanes.Load(logits + i) - lse);
      const Vec p = Exp(lanes.Load(teacher + i) - teacher_lse);
      lanes.Store(teacher + i, scale * (q - p));
    });
    return;
  }
  ForEachVector(row.n, [=](int64_t i, auto lanes) {
    const Vec log_q = lanes.Load(logits + i) - lse;
    const Vec log_p = lanes.Load(teacher + i) - teacher_lse;
    lanes.Store(teacher + i, scale * Exp(log_q) * (log_q - log_p - divergence));
  });
}

}  // namespace

const KlLoops kKlLoops = {Divergence, Gradient};

}  // namespace caracal::kernels::CARACAL_SIMD_NS
