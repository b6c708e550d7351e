#include "tests/gpu/model_pair.h"

#include <cmath>
#include <random>

#include "core/base/status.h"

namespace caracal {
namespace {

// Feature maps near the identity, so that the two parts of attention stay
// comparable; B of LoRA, which is zero at first, so that adapters count.
void Randomize(ParameterStore& store) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal;
  for (const Parameter& p : store.parameters()) {
    float scale = 0.05f;
    if (p.group == ParameterGroup::kLora) {
      scale = 0.2f / std::sqrt(static_cast<float>(p.value.shape[1]));
    }
    for (int64_t i = 0; i < p.value.size(); ++i) {
      p.value.f32()[i] += scale * normal(random);
    }
  }
}

absl::Status LoadSide(const WeightSource& source, const StudentConfig& student,
                      ModelSide* side) {
  ASSIGN_OR_RETURN(
      side->weights,
      LlamaWeights::Load(
          side->compute.context(), source, Shard(), WeightForm::kDense, {},
          {.device = side->compute.device(), .lora = &student.lora}));
  side->adapters =
      std::make_unique<Adapters>(side->weights.adapter_shape(), student);
  side->adapters->Initialize(3);
  side->adapters->lora_active = true;
  Randomize(side->adapters->parameters());
  if (side->compute.device() != nullptr) {
    RETURN_IF_ERROR(
        side->adapters->parameters().PlaceOn(side->compute.device()));
  }
  side->llama = std::make_unique<Llama>(&side->weights, side->adapters.get());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelPair>> ModelPair::Load(
    const std::string& path, const StudentConfig& student) {
  auto pair = std::make_unique<ModelPair>();
  ASSIGN_OR_RETURN(pair->source, OpenModel(path));
  RETURN_IF_ERROR(CheckCudaModel(pair->source->config()));
  RETURN_IF_ERROR(pair->gpu.compute.UseCuda());
  RETURN_IF_ERROR(LoadSide(*pair->source, student, &pair->host));
  RETURN_IF_ERROR(LoadSide(*pair->source, student, &pair->gpu));
  return pair;
}

void ModelPair::SetTrained(const std::vector<ParameterGroup>& groups) {
  for (ModelSide* side : {&host, &gpu}) {
    side->adapters->parameters().SetTrained(groups);
    side->adapters->parameters().ZeroGradients();
  }
}

RandomBatch::RandomBatch(const std::vector<int64_t>& lengths,
                         int64_t vocabulary) {
  std::mt19937_64 random(11);
  for (const int64_t length : lengths) {
    offsets_.push_back(offsets_.back() + length);
    for (int64_t i = 0; i < length; ++i) {
      tokens_.push_back(static_cast<int32_t>(random() % vocabulary));
      targets_.push_back(static_cast<int32_t>(random() % vocabulary));
      positions_.push_back(static_cast<int32_t>(i));
    }
  }
}

TokenBatch RandomBatch::batch() const {
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(offsets_.size()) - 1;
  batch.offsets = offsets_.data();
  batch.tokens = ConstTensorView(tokens_.data(), {rows()});
  batch.targets = ConstTensorView(targets_.data(), {rows()});
  batch.positions = ConstTensorView(positions_.data(), {rows()});
  return batch;
}

double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  CARACAL_CHECK(a.size() == b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (static_cast<double>(a[i]) - b[i]) * (a[i] - b[i]);
    norm += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(difference / norm);
}

std::vector<float> GradientsOf(ParameterStore& store, ParameterGroup group) {
  const absl::Status there = store.GradientsToHost();
  CARACAL_CHECK(there.ok()) << there.message();
  std::vector<float> all;
  for (const Parameter& p : store.parameters()) {
    if (p.group != group || !p.grad.defined()) continue;
    all.insert(all.end(), p.grad.f32(), p.grad.f32() + p.grad.size());
  }
  return all;
}

}  // namespace caracal
