// Reduces a pass to what decides its losses.
#include "eval/measure/pass.h"

#include "absl/strings/str_cat.h"

namespace caracal {

uint8_t EffectiveTerms(uint8_t terms,
                       const kernels::HybridAttentionConfig& config,
                       int64_t longest) {
  // What a LoLCATs row sees hangs on its own sequence's length.
  if (config.window_kind == kernels::WindowKind::kLolcatsTerraced) {
    return terms;
  }
  const int64_t start = kernels::WindowStart(config.window_kind, config.window,
                                             longest - 1, longest);
  int gone = 0;
  if (config.sinks == 0) {
    gone |= kernels::kNearSinkTerms | kernels::kFarSinkTerms;
  }
  if (start == 0) gone |= kernels::kFarSinkTerms;
  if (LinearSetEmpty(config, longest - 1, longest)) {
    gone |= kernels::kLinearPastTerms;
  }
  return static_cast<uint8_t>(terms & ~gone);
}

std::string SameLosses(const Pass& pass,
                       const kernels::HybridAttentionConfig& config,
                       int64_t longest, bool lora) {
  if (!pass.overrides.empty()) {
    return absl::StrCat("at ", pass.name, " sinks ", config.sinks);
  }
  const bool adapted =
      lora && (pass.terms.has_value() || AdaptersOn(pass.mode));
  if (!pass.terms.has_value() && IsFullSoftmax(pass.mode)) {
    return absl::StrCat("softmax ", adapted);
  }
  const uint8_t terms =
      pass.terms.has_value() ? *pass.terms : TermsOf(pass.mode);
  std::string key =
      absl::StrCat("terms ", EffectiveTerms(terms, config, longest), " sinks ",
                   config.sinks, " lora ", adapted);
  const bool linear =
      EffectiveTerms(kernels::kLinearPastTerms, config, longest) != 0;
  if (pass.ablated_layer >= 0 && linear) {
    absl::StrAppend(&key, " without ", pass.ablated_layer, ".",
                    pass.ablated_head);
  }
  return key;
}

}  // namespace caracal
