#include "jobs/train/loss_sums.h"

#include "core/base/status.h"

namespace caracal {

void LossSums::Reset(int64_t model_layers) {
  rows = targets = nll = kl = dropped = 0;
  layers.assign(model_layers, Layer());
}

LossSums::Layer LossSums::OfAllLayers() const {
  Layer all;
  for (const Layer& layer : layers) {
    all.squared_error += layer.squared_error;
    all.cross_entropy += layer.cross_entropy;
    all.teacher_entropy += layer.teacher_entropy;
  }
  return all;
}

absl::Status LossSums::SumOver(Gang& gang) {
  if (gang.alone()) return absl::OkStatus();
  values_.clear();
  const auto each = [&](auto fn) {
    for (double* field : {&rows, &targets, &nll, &kl, &dropped}) fn(field);
    for (Layer& layer : layers) {
      for (double* field : {&layer.squared_error, &layer.cross_entropy,
                            &layer.teacher_entropy}) {
        fn(field);
      }
    }
  };
  each([&](double* field) { values_.push_back(*field); });
  RETURN_IF_ERROR(gang.Sum(absl::MakeSpan(values_)));
  auto value = values_.begin();
  each([&](double* field) { *field = *value++; });
  return absl::OkStatus();
}

double StageLoss(std::initializer_list<std::pair<double, double>> parts) {
  double sum = 0, only = 0;
  int count = 0;
  for (const auto& [weight, loss] : parts) {
    if (weight == 0) continue;
    ++count;
    only = loss;
    sum += weight * loss;
  }
  return count == 1 ? only : sum;
}

}  // namespace caracal
