// The parameters a conversion trains, in one flat buffer.
#ifndef CARACAL_CORE_MODEL_PARAMETERS_H_
#define CARACAL_CORE_MODEL_PARAMETERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/tensor/tensor.h"

namespace caracal {

enum class ParameterGroup : uint8_t {
  kFeatureMap,
  kFeatureBias,
  kWindowFactor,
  kLora
};
inline constexpr int kParameterGroups = 4;

// "feature_map", "feature_bias", "window_factor", "lora".
absl::string_view NameOf(ParameterGroup group);

// One trained tensor, fp32. `grad` is defined while the tensor is trained.
struct Parameter {
  std::string name;  // "layers.3.feature_map_q", "layers.3.lora.q.A", ...
  ParameterGroup group;
  TensorView value;
  TensorView grad;
  int64_t offset = 0;  // elements from the start of the flat buffer
};

// Names, values and gradients of all trained tensors. Values lie one after
// another, one group after another, so that an optimizer step is one kernel
// call per trained group. Addresses are stable once Allocate() was called.
class ParameterStore {
 public:
  // Declares a tensor, before Allocate(). Returns its index.
  int Add(std::string name, ParameterGroup group,
          std::initializer_list<int64_t> shape);
  // Lays out and zeroes the values.
  void Allocate();

  // Makes gradients for the groups in `groups` and none for the others.
  void SetTrained(const std::vector<ParameterGroup>& groups);
  void ZeroGradients();

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const Parameter& operator[](int index) const { return parameters_[index]; }
  // Null when there is none of that name.
  const Parameter* Find(absl::string_view name) const;

  // The trained part as contiguous runs of the flat buffers, one a group.
  struct Run {
    ParameterGroup group;
    TensorView value;  // [n]
    TensorView grad;   // [n]
  };
  const std::vector<Run>& trained_runs() const { return runs_; }
  std::vector<const Parameter*> trained() const;
  int64_t trained_size() const;  // elements

 private:
  std::vector<Parameter> parameters_;
  std::vector<Run> runs_;
  Tensor values_, grads_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_PARAMETERS_H_
