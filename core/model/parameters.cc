#include "core/model/parameters.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

// Elements that a twin's room is a multiple of.
constexpr int64_t kTwinGrain = 64;

int64_t TwinSize(const Parameter& p) {
  return (p.value.size() + kTwinGrain - 1) / kTwinGrain * kTwinGrain;
}

// `like` at another place; the place moves on.
TensorView Twin(const TensorView& like, int64_t size, float** at) {
  TensorView twin = like;
  twin.data = *at;
  *at += size;
  return twin;
}

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
  ParameterSlice whole;
  std::copy(shape.begin(), shape.end(), whole.whole.begin());
  return Add(std::move(name), group, shape, whole);
}

int ParameterStore::Add(std::string name, ParameterGroup group,
                        std::initializer_list<int64_t> shape,
                        const ParameterSlice& slice) {
  CARACAL_CHECK(!values_.defined()) << "Add after Allocate: " << name;
  CARACAL_CHECK(shape.size() <= kParameterRank) << name;
  parameters_.push_back({std::move(name), group, slice,
                         TensorView(nullptr, DType::kF32, shape), TensorView(),
                         0, TensorView(), TensorView()});
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
  for (Parameter& p : parameters_) {
    p.value.data = values_.f32() + p.offset;
    p.step_value = p.value;
  }
}

absl::Status ParameterStore::PlaceOn(Device* device) {
  CARACAL_CHECK(values_.defined() && !grads_.defined())
      << "PlaceOn comes after Allocate, before SetTrained";
  int64_t total = 0;
  for (const Parameter& p : parameters_) total += TwinSize(p);
  ASSIGN_OR_RETURN(step_values_, device->Allocate(DType::kF32, {total}));
  device->SetZero(step_values_.f32(), step_values_.bytes());
  float* at = step_values_.f32();
  for (const ParameterGroup group : kGroups) {
    for (Parameter& p : parameters_) {
      if (p.group == group) p.step_value = Twin(p.value, TwinSize(p), &at);
    }
  }
  device_ = device;
  return absl::OkStatus();
}

void ParameterStore::UseOnDevice() {
  if (device_ == nullptr || on_device_) return;
  for (const Parameter& p : parameters_) {
    device_->Upload(p.value.data, p.value.size() * sizeof(float),
                    p.step_value.data);
  }
  on_device_ = true;
}

absl::Status ParameterStore::UseOnHost() {
  if (!on_device_) return absl::OkStatus();
  on_device_ = false;
  for (const Parameter& p : parameters_) {
    device_->Download(p.step_value.data, p.value.size() * sizeof(float),
                      p.value.data);
  }
  return device_->Wait();
}

absl::Status ParameterStore::GradientsToHost() {
  if (device_ == nullptr) return absl::OkStatus();
  for (const Parameter& p : parameters_) {
    if (!p.grad.defined()) continue;
    device_->Download(p.step_grad.data, p.grad.size() * sizeof(float),
                      p.grad.data);
  }
  return device_->Wait();
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
    std::vector<const Parameter*> parameters;
    for (Parameter& p : parameters_) {
      if (p.group != group) continue;
      p.grad = TensorView();
      if (!is_trained(group)) continue;
      parameters.push_back(&p);
      if (begin < 0) begin = p.offset;
      p.grad = p.value;
      p.grad.data = grads_.f32() + used + size;
      size += p.value.size();
    }
    if (size > 0) {
      runs_.push_back({group,
                       TensorView(values_.f32() + begin, {size}),
                       TensorView(grads_.f32() + used, {size}),
                       std::move(parameters),
                       {},
                       {}});
      used += size;
    }
  }
  float* at = nullptr;
  if (device_ != nullptr && total > 0) {
    step_grads_ = Tensor();  // Before the next ones are there.
    int64_t size = 0;
    for (const Parameter& p : parameters_) {
      if (p.grad.defined()) size += TwinSize(p);
    }
    absl::StatusOr<Tensor> grads = device_->Allocate(DType::kF32, {size});
    device_status_.Update(grads.status());
    if (!grads.ok()) return;
    step_grads_ = *std::move(grads);
    at = step_grads_.f32();
  }
  for (Parameter& p : parameters_) p.step_grad = p.grad;
  for (const ParameterGroup group : kGroups) {
    for (Parameter& p : parameters_) {
      if (at != nullptr && p.group == group && p.grad.defined()) {
        p.step_grad = Twin(p.grad, TwinSize(p), &at);
      }
    }
  }
  for (size_t i = 0; i < runs_.size(); ++i) {
    Run& run = runs_[i];
    const int64_t size = StepOffset(static_cast<int>(i), run.value.size());
    const Parameter& first = *run.parameters[0];
    run.step_value = TensorView(first.step_value.f32(), {size});
    run.step_grad = TensorView(first.step_grad.f32(), {size});
  }
  if (at != nullptr) ZeroGradients();
}

void ParameterStore::ZeroGradients() {
  if (device_ != nullptr) {
    if (step_grads_.defined()) {
      device_->SetZero(step_grads_.f32(), step_grads_.bytes());
    }
    return;
  }
  if (grads_.defined()) std::memset(grads_.f32(), 0, grads_.bytes());
}

const Parameter* ParameterStore::Find(absl::string_view name) const {
  for (const Parameter& p : parameters_) {
    if (p.name == name) return &p;
  }
  return nullptr;
}

int64_t ParameterStore::StepOffset(int run, int64_t element) const {
  const Run& r = runs_[run];
  const Parameter& first = *r.parameters[0];
  for (const Parameter* p : r.parameters) {
    const int64_t begin = p->grad.f32() - r.grad.f32();
    if (element < begin + p->grad.size()) {
      return p->step_value.f32() - first.step_value.f32() + element - begin;
    }
  }
  const Parameter& last = *r.parameters.back();
  const int64_t size = device_ == nullptr ? last.value.size() : TwinSize(last);
  return last.step_value.f32() - first.step_value.f32() + size;
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

std::vector<ParameterRows> RowsOf(const ParameterStore& store,
                                  const RunRange& range) {
  std::vector<ParameterRows> out;
  const ParameterStore::Run& run = store.trained_runs()[range.run];
  for (const Parameter* p : run.parameters) {
    const int64_t first = p->grad.f32() - run.grad.f32();
    const int64_t begin = std::max(first, range.begin);
    const int64_t end = std::min(first + p->grad.size(), range.end);
    if (begin >= end) continue;
    const int64_t row = p->value.size() / p->value.shape[0];
    CARACAL_CHECK((begin - first) % row == 0 && (end - first) % row == 0)
        << p->name << " is cut within a row";
    out.push_back(
        {p, (begin - first) / row, (end - begin) / row, begin, end - begin});
  }
  return out;
}

std::vector<RunRange> WholeRuns(const ParameterStore& store) {
  std::vector<RunRange> out;
  for (const ParameterStore::Run& run : store.trained_runs()) {
    out.push_back({static_cast<int>(out.size()), 0, run.value.size()});
  }
  return out;
}

}  // namespace caracal
