#include "core/model/parameters.h"

#include <algorithm>
#include <cstring>

namespace caracal {
namespace {

constexpr ParameterGroup kGroups[kParameterGroups] = {
    ParameterGroup::kFeatureMap, ParameterGroup::kFeatureBias,
    ParameterGroup::kWindowFactor, ParameterGroup::kLora};

}  // namespace

absl::string_view NameOf(ParameterGroup group) {
  switch (group) {
    case ParameterGroup::kFeatureMap:
      return "feature_map";
    case ParameterGroup::kFeatureBias:
      return "feature_bias";
    case ParameterGroup::kWindowFactor:
      return "window_factor";
    case ParameterGroup::kLora:
      return "lora";
  }
  return "?";
}

int ParameterStore::Add(std::string name, ParameterGroup group,
                        std::initializer_list<int64_t> shape) {
  CARACAL_CHECK(!values_.defined()) << "Add after Allocate: " << name;
  parameters_.push_back({std::move(name), group,
                         TensorView(nullptr, DType::kF32, shape), TensorView(),
                         0});
  return static_cast<int>(parameters_.size()) - 1;
}

void ParameterStore::Allocate() {
  int64_t total = 0;
  for (const ParameterGroup group : kGroups) {
    for (Parameter& p : parameters_) {
      if (p.group != group) continue;
      p.offset = total;
      total += p.value.size();
    }
  }
  values_ = Tensor::Zeros(DType::kF32, {total});
  for (Parameter& p : parameters_) p.value.data = values_.f32() + p.offset;
}

void ParameterStore::SetTrained(const std::vector<ParameterGroup>& groups) {
  CARACAL_CHECK(values_.defined()) << "SetTrained before Allocate";
  const auto is_trained = [&](ParameterGroup g) {
    return std::find(groups.begin(), groups.end(), g) != groups.end();
  };
  int64_t total = 0;
  for (const Parameter& p : parameters_) {
    if (is_trained(p.group)) total += p.value.size();
  }
  grads_ = Tensor::Zeros(DType::kF32, {total});
  runs_.clear();
  int64_t used = 0;
  for (const ParameterGroup group : kGroups) {
    int64_t begin = -1, size = 0;
    for (Parameter& p : parameters_) {
      if (p.group != group) continue;
      p.grad = TensorView();
      if (!is_trained(group)) continue;
      if (begin < 0) begin = p.offset;
      p.grad = p.value;
      p.grad.data = grads_.f32() + used + size;
      size += p.value.size();
    }
    if (size > 0) {
      runs_.push_back({group, TensorView(values_.f32() + begin, {size}),
                       TensorView(grads_.f32() + used, {size})});
      used += size;
    }
  }
}

void ParameterStore::ZeroGradients() {
  if (grads_.defined()) std::memset(grads_.f32(), 0, grads_.bytes());
}

const Parameter* ParameterStore::Find(absl::string_view name) const {
  for (const Parameter& p : parameters_) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

std::vector<const Parameter*> ParameterStore::trained() const {
  std::vector<const Parameter*> out;
  for (const Parameter& p : parameters_) {
    if (p.grad.defined()) out.push_back(&p);
  }
  return out;
}

int64_t ParameterStore::trained_size() const {
  int64_t total = 0;
  for (const Run& run : runs_) total += run.value.size();
  return total;
}

}  // namespace caracal
