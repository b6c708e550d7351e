#include "core/optim/adamw.h"

#include <cmath>

#include "kernels/adamw/adamw.h"

namespace caracal {

AdamW::AdamW(ParameterStore* store, const AdamWSettings& settings)
    : store_(store),
      settings_(settings),
      first_(Tensor::Zeros(DType::kF32, {store->trained_size()})),
      second_(Tensor::Zeros(DType::kF32, {store->trained_size()})) {
  if (store->trained_size() == 0) return;
  // The gradients are one buffer over all runs: a parameter's place in it is
  // its moments' place too.
  const float* base = store->trained_runs().front().grad.f32();
  for (const Parameter* p : store->trained()) {
    const int64_t offset = p->grad.f32() - base;
    Moments m{p, p->value, p->value};
    m.first.data = first_.f32() + offset;
    m.second.data = second_.f32() + offset;
    moments_.push_back(m);
  }
}

double AdamW::Step(const Context& ctx, float learning_rate) {
  double squares = 0;
  for (const auto& run : store_->trained_runs()) {
    squares += kernels::SumOfSquares(ctx, run.grad);
  }
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm)) return norm;
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
  int64_t offset = 0;
  for (const auto& run : store_->trained_runs()) {
    const int64_t n = run.value.size();
    config.weight_decay = settings_.weight_decay[static_cast<int>(run.group)];
    kernels::AdamWStep(ctx, config, run.value, run.grad,
                       TensorView(first_.f32() + offset, {n}),
                       TensorView(second_.f32() + offset, {n}));
    offset += n;
  }
  return norm;
}

}  // namespace caracal
