#include "jobs/train/component_dropout.h"

#include "core/base/philox.h"

namespace caracal {
DropRule DropRuleOf(const proto::Curriculum& curriculum, uint64_t seed) {
  DropRule rule;
  rule.seed = seed;
  rule.granularity = curriculum.granularity();
  if (curriculum.drop_mode() == proto::LA_PAST) {
    rule.terms = kernels::kLaPastTerms;
    if (curriculum.drop_keeps_sinks()) rule.terms |= kernels::kSinksOnlyTerms;
  }
  return rule;
}

bool IsDropped(const DropRule& rule, double probability, int64_t global_step,
               int64_t sample, int64_t layer, int64_t head) {
  using Curriculum = proto::Curriculum;
  const bool by_layer = rule.granularity != Curriculum::STEP;
  const bool by_sample = by_layer && rule.granularity != Curriculum::LAYER;
  const bool by_head = rule.granularity == Curriculum::HEAD;
  // Strictly below: never at 0, always at 1.
  return Uniform(rule.seed, RandomPurpose::kComponentDropout,
                 static_cast<uint64_t>(global_step),
                 static_cast<uint64_t>(by_sample ? sample : 0),
                 static_cast<uint64_t>(by_layer ? layer : 0),
                 static_cast<uint64_t>(by_head ? head : 0)) < probability;
}

int64_t ApplyDrops(const DropRule& rule, double probability,
                   int64_t global_step, int64_t first_sample,
                   const TokenBatch& batch, ModePlan* plan) {
  int64_t dropped = 0, last_sample = -1;
  const bool by_head = rule.granularity == proto::Curriculum::HEAD;
  const int64_t unit = by_head ? 1 : plan->heads();
  for (int64_t layer = 0; layer < plan->layers(); ++layer) {
    if (plan->full_softmax(layer)) continue;
    for (int64_t s = 0; s < batch.sequences; ++s) {
      const int64_t sample = batch.sample(s);
      for (int64_t h = 0; h < plan->heads(); h += unit) {
        if (!IsDropped(rule, probability, global_step, first_sample + sample,
                       layer, rule.first_head + h)) {
          continue;
        }
        plan->SetTerms(layer, s, h, h + unit, rule.terms);
        // The documents of a row share its draw, and count once.
        if (sample != last_sample) dropped += unit;
      }
      last_sample = sample;
    }
    last_sample = -1;
  }
  return dropped;
}

}  // namespace caracal
