#include "eval/measure/pass_plan.h"

#include <algorithm>

namespace caracal {

void PlanPass(const Llama& model, const Pass& pass, const TokenBatch& batch,
              ModePlan* plan) {
  if (pass.terms.has_value()) {
    model.PlanTerms(batch, *pass.terms, plan);
  } else {
    model.Plan(batch, pass.mode, plan);
  }
  ApplyModeOverrides(pass.overrides, model.adapters().config(), plan);
  if (pass.ablated_layer < 0) return;
  const int64_t first = std::max<int64_t>(pass.ablated_head, 0);
  const int64_t last = pass.ablated_head < 0 ? model.heads() : first + 1;
  for (int64_t s = 0; s < batch.sequences; ++s) {
    plan->SetTerms(pass.ablated_layer, s, first, last, kernels::kSwaOnlyTerms);
  }
}

}  // namespace caracal
