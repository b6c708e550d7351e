#include "core/optim/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "kernels/adamw/adamw.h"

namespace caracal {
namespace {

int64_t TotalSize(const std::vector<RunRange>& parts) {
  int64_t total = 0;
  for (const RunRange& part : parts) total += part.size();
  return total;
}

}  // namespace

AdamW::AdamW(ParameterStore* store, const AdamWSettings& settings)
    : AdamW(store, settings, WholeRuns(*store)) {}

AdamW::AdamW(ParameterStore* store, const AdamWSettings& settings,
             std::vector<RunRange> parts)
    : store_(store),
      settings_(settings),
      parts_(std::move(parts)),
      first_(Tensor::Zeros(DType::kF32, {TotalSize(parts_)})),
      second_(Tensor::Zeros(DType::kF32, {TotalSize(parts_)})) {
  int64_t offset = 0;
  for (const RunRange& part : parts_) {
    for (const ParameterRows& rows : RowsOf(*store_, part)) {
      Moments m{rows, rows.parameter->value, rows.parameter->value};
      m.first.shape[0] = m.second.shape[0] = rows.rows;
      m.first.data = first_.f32() + offset + rows.begin - part.begin;
      m.second.data = second_.f32() + offset + rows.begin - part.begin;
      moments_.push_back(m);
    }
    offset += part.size();
  }
  if (store_->device() != nullptr) PlaceOnDevice();
}

void AdamW::PlaceOnDevice() {
  status_ = store_->device_status();
  if (!status_.ok()) return;
  std::vector<DeviceAdamW::Tensor> tensors;
  for (const Moments& m : moments_) {
    const Parameter& p = *m.of.parameter;
    const int64_t begin = m.of.first_row * (p.value.size() / p.value.shape[0]);
    const auto rows = [&](const TensorView& all) {
      return TensorView(all.f32() + begin, {m.of.size});
    };
    tensors.push_back({rows(p.step_value), rows(p.step_grad), m.first, m.second,
                       p.slice.owned});
  }
  absl::StatusOr<std::unique_ptr<DeviceAdamW>> made =
      MakeDeviceAdamW(store_->device(), tensors);
  status_ = made.status();
  if (made.ok()) device_ = *std::move(made);
}

const std::vector<AdamW::Moments>& AdamW::moments() {
  if (on_device_) {
    status_.Update(device_->MomentsToHost());
    on_device_ = false;
  }
  return moments_;
}

void AdamW::BeginSquares(const Context& ctx) {
  if (device_ != nullptr) device_->BeginSumOfSquares(ctx);
}

void AdamW::AddSquares(const Context& ctx, absl::Span<double> layers) {
  if (device_ != nullptr) {
    layers[0] += device_->SumOfSquares();
    return;
  }
  for (const Moments& m : moments_) {
    const Parameter& p = *m.of.parameter;
    if (!p.slice.owned) continue;
    const int64_t row = p.grad.size() / p.grad.shape[0];
    layers[p.slice.layer] += kernels::SumOfSquares(
        ctx, TensorView(p.grad.f32() + m.of.first_row * row, {m.of.size}));
  }
}

void AdamW::Update(const Context& ctx, float learning_rate, double norm) {
  // As torch.nn.utils.clip_grad_norm_ scales.
  double scale = 1;
  if (settings_.grad_clip > 0) {
    scale = std::min(1.0, settings_.grad_clip / (norm + 1e-6));
  }
  kernels::AdamWConfig config;
  config.lr = learning_rate;
  config.beta1 = settings_.beta1;
  config.beta2 = settings_.beta2;
  config.epsilon = settings_.epsilon;
  config.step = ++steps_;
  config.grad_scale = static_cast<float>(scale);
  if (device_ != nullptr) {
    if (!on_device_) device_->MomentsToDevice();
    on_device_ = true;
    std::vector<kernels::AdamWConfig> configs;
    for (const Moments& m : moments_) {
      config.weight_decay =
          settings_.weight_decay[static_cast<int>(m.of.parameter->group)];
      configs.push_back(config);
    }
    device_->Step(ctx, configs);
    return;
  }
  int64_t offset = 0;
  for (const RunRange& part : parts_) {
    const ParameterStore::Run& run = store_->trained_runs()[part.run];
    const int64_t n = part.size();
    config.weight_decay = settings_.weight_decay[static_cast<int>(run.group)];
    kernels::AdamWStep(ctx, config, part.Of(run.value), part.Of(run.grad),
                       TensorView(first_.f32() + offset, {n}),
                       TensorView(second_.f32() + offset, {n}));
    offset += n;
  }
}

double AdamW::Step(const Context& ctx, float learning_rate) {
  int layers = 0;
  for (const Moments& m : moments_) {
    layers = std::max(layers, m.of.parameter->slice.layer + 1);
  }
  std::vector<double> squares(layers);
  BeginSquares(ctx);
  AddSquares(ctx, absl::MakeSpan(squares));
  const double norm =
      std::sqrt(std::accumulate(squares.begin(), squares.end(), 0.0));
  if (std::isfinite(norm)) Update(ctx, learning_rate, norm);
  return norm;
}

}  // namespace caracal
