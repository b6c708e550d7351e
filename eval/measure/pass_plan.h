// Makes a model run a pass: its plan, and its number of sinks.
#ifndef CARACAL_EVAL_MEASURE_PASS_PLAN_H_
#define CARACAL_EVAL_MEASURE_PASS_PLAN_H_

#include "core/model/llama.h"
#include "eval/measure/pass.h"

namespace caracal {

void PlanPass(const Llama& model, const Pass& pass, const TokenBatch& batch,
              ModePlan* plan);

// Sets the number of sinks for a scope.
class ScopedSinks {
 public:
  ScopedSinks(Adapters& adapters, int64_t sinks)
      : adapters_(adapters), before_(adapters.config().attention) {
    kernels::HybridAttentionConfig config = before_;
    config.sinks = sinks;
    adapters_.set_attention(config);
  }
  ScopedSinks(const ScopedSinks&) = delete;
  ScopedSinks& operator=(const ScopedSinks&) = delete;
  ~ScopedSinks() { adapters_.set_attention(before_); }

 private:
  Adapters& adapters_;
  kernels::HybridAttentionConfig before_;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_PASS_PLAN_H_
