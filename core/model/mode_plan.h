// Which component mode every (layer, sequence, head) of a pass runs in.
#ifndef CARACAL_CORE_MODEL_MODE_PLAN_H_
#define CARACAL_CORE_MODEL_MODE_PLAN_H_

#include <cstdint>
#include <vector>

#include "core/model/component_mode.h"

namespace caracal {

// Chosen at run time on one loaded model; refilled every step without
// allocating once it has held its largest size.
class ModePlan {
 public:
  // Every layer, sequence and head in one mode.
  void SetAll(int64_t layers, int64_t sequences, int64_t heads,
              ComponentMode mode);
  // Every layer, sequence and head with these kernels::Terms, adapters on:
  // what is left of hybrid attention when a component is taken away.
  void SetAllTerms(int64_t layers, int64_t sequences, int64_t heads,
                   uint8_t terms);
  // Layers that run plain softmax in every mode (kept as they were); null:
  // none. Goes for the SetAll() calls that follow.
  void set_softmax_layers(const std::vector<bool>* layers) {
    softmax_layers_ = layers;
  }
  // Overrides for one layer; full softmax goes for whole layers only.
  void SetLayer(int64_t layer, ComponentMode mode);
  // For one sequence of a layer, or one head of it. Not full softmax.
  void SetSequence(int64_t layer, int64_t sequence, ComponentMode mode);
  void SetHead(int64_t layer, int64_t sequence, int64_t head,
               ComponentMode mode);

  // kernels::Terms of one sequence's heads [first, last) of a layer. Without
  // effect on a layer that is full softmax.
  void SetTerms(int64_t layer, int64_t sequence, int64_t first, int64_t last,
                uint8_t terms);

  bool adapters_on() const { return adapters_on_; }
  bool full_softmax(int64_t layer) const { return full_softmax_[layer]; }
  // kernels::Terms [sequences, heads] of a layer.
  const uint8_t* terms(int64_t layer) const {
    return terms_.data() + layer * sequences_ * heads_;
  }
  // Of all layers, one after another.
  const std::vector<uint8_t>& all_terms() const { return terms_; }
  // Bit t is set where some head of a layer that is not full softmax has the
  // kernels::Terms t. Of all layers together: draws that give one layer other
  // modes than another launch the same.
  uint32_t term_kinds() const;
  int64_t layers() const { return layers_; }
  int64_t sequences() const { return sequences_; }
  int64_t heads() const { return heads_; }

 private:
  int64_t layers_ = 0, sequences_ = 0, heads_ = 0;
  bool adapters_on_ = true;
  const std::vector<bool>* softmax_layers_ = nullptr;
  std::vector<uint8_t> full_softmax_;  // [layers]
  std::vector<uint8_t> terms_;         // [layers, sequences, heads]
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_MODE_PLAN_H_
