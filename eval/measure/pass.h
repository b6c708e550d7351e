// One way of running attention over all rows, and when two ways are the same.
#ifndef CARACAL_EVAL_MEASURE_PASS_H_
#define CARACAL_EVAL_MEASURE_PASS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/model/component_mode.h"
#include "core/model/mode_overrides.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

struct Pass {
  std::string name = {};
  ComponentMode mode = ComponentMode::kHybrid;
  // Instead of the mode's: kernels::Terms of every layer and head, adapters
  // on.
  std::optional<uint8_t> terms = {};
  int64_t sinks = 0;
  bool statistics = false;  // masses too; hybrid only
  // Overrides `terms` or the mode for this layer, and of it for this head
  // only; -1: for none, for all of them.
  int64_t ablated_layer = -1, ablated_head = -1;
  // Laid over the mode, in this order. The pass's name tells them apart.
  std::vector<ModeOverride> overrides = {};
};

// `terms` without those that no row of a sequence of at most `longest` tokens
// has a key for: far sinks and the linear past where the window sees
// everything, sinks where there are none. LoLCATs windows: all of `terms`.
uint8_t EffectiveTerms(uint8_t terms,
                       const kernels::HybridAttentionConfig& config,
                       int64_t longest);

// Passes with equal keys give equal losses on a batch whose sequences have at
// most `longest` tokens. `config` is that of the pass, `lora` whether the
// student has any.
std::string SameLosses(const Pass& pass,
                       const kernels::HybridAttentionConfig& config,
                       int64_t longest, bool lora);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_PASS_H_
