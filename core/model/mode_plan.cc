#include "core/model/mode_plan.h"

#include <algorithm>

#include "kernels/common/check.h"
#include "kernels/hybrid_attention/hybrid_attention.h"

namespace caracal {

void ModePlan::SetAll(int64_t layers, int64_t sequences, int64_t heads,
                      ComponentMode mode) {
  layers_ = layers;
  sequences_ = sequences;
  heads_ = heads;
  adapters_on_ = AdaptersOn(mode);
  full_softmax_.assign(layers, IsFullSoftmax(mode));
  terms_.assign(layers * sequences * heads,
                IsFullSoftmax(mode) ? 0 : TermsOf(mode));
  for (int64_t i = 0; softmax_layers_ != nullptr && i < layers; ++i) {
    if ((*softmax_layers_)[i]) full_softmax_[i] = 1;
  }
}

void ModePlan::SetTerms(int64_t layer, int64_t sequence, int64_t first,
                        int64_t last, uint8_t terms) {
  uint8_t* heads = terms_.data() + (layer * sequences_ + sequence) * heads_;
  std::fill(heads + first, heads + last, terms);
}

void ModePlan::SetAllTerms(int64_t layers, int64_t sequences, int64_t heads,
                           uint8_t terms) {
  SetAll(layers, sequences, heads, ComponentMode::kHybrid);
  terms_.assign(terms_.size(), terms);
}

void ModePlan::SetLayer(int64_t layer, ComponentMode mode) {
  CARACAL_CHECK(layer >= 0 && layer < layers_) << "layer " << layer;
  full_softmax_[layer] = IsFullSoftmax(mode);
  if (IsFullSoftmax(mode)) return;
  for (int64_t s = 0; s < sequences_; ++s) SetSequence(layer, s, mode);
}

void ModePlan::SetSequence(int64_t layer, int64_t sequence,
                           ComponentMode mode) {
  for (int64_t h = 0; h < heads_; ++h) SetHead(layer, sequence, h, mode);
}

uint32_t ModePlan::term_kinds() const {
  uint32_t kinds = 0;
  for (int64_t i = 0; i < layers_; ++i) {
    if (full_softmax_[i]) continue;
    kinds |= kernels::TermKindsOf(terms(i), sequences_ * heads_);
  }
  return kinds;
}

void ModePlan::SetHead(int64_t layer, int64_t sequence, int64_t head,
                       ComponentMode mode) {
  CARACAL_CHECK(!full_softmax_[layer]) << "layer " << layer << " is softmax";
  terms_[(layer * sequences_ + sequence) * heads_ + head] = TermsOf(mode);
}

}  // namespace caracal
