#include "tests/model/golden_gradients.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace caracal::golden {
namespace {

// Where a gradient cancels to 0 exactly, rounding is left: a share of the
// largest tensor gradient's norm.
constexpr double kZeroTolerance = 1e-6;

}  // namespace

void TrainEverything(GoldenModel* model) {
  ParameterStore& store = model->adapters().parameters();
  store.SetTrained({ParameterGroup::kFeatureMap, ParameterGroup::kFeatureBias,
                    ParameterGroup::kWindowFactor, ParameterGroup::kLora});
  store.ZeroGradients();
}

TransferLosses TransferGradients(GoldenModel* model, const GoldenBatch& batch,
                                 uint8_t terms, double output_weight,
                                 double attention_weight) {
  const Llama& llama = model->llama();
  const ModelConfig& config = llama.weights().config;
  int64_t converted = 0;
  for (int64_t i = 0; i < config.layers; ++i) {
    converted += !model->adapters().config().IsSoftmaxLayer(i);
  }
  const double rows =
      static_cast<double>(batch.rows() * config.heads * converted);
  const double elements = rows * static_cast<double>(config.head_dim);
  std::vector<TransferSums> sums(config.layers);
  model->adapters().lora_active = false;
  model->exec().arena->Reset();
  llama.TransferStep(
      model->exec(), batch.batch(),
      {.terms = terms,
       .output_scale = static_cast<float>(2 * output_weight / elements),
       .weight_scale = static_cast<float>(attention_weight / rows)},
      sums.data());
  TransferLosses losses;
  for (const TransferSums& s : sums) {
    losses.mse += s.squared_error / elements;
    losses.xent += s.weights.cross_entropy / rows;
    losses.kl += (s.weights.cross_entropy - s.weights.teacher_entropy) / rows;
  }
  return losses;
}

double FinetuneGradients(GoldenModel* model, const GoldenBatch& batch,
                         const ModePlan& plan,
                         const std::vector<int32_t>& mask) {
  double scored = 0;
  for (const int32_t m : mask) scored += m;
  std::vector<float> weight, nll(mask.size());
  for (const int32_t m : mask) {
    weight.push_back(static_cast<float>(m / scored));
  }
  const int64_t n = static_cast<int64_t>(mask.size());
  Execution& exec = model->exec();
  exec.arena->Reset();
  Tape tape(exec.arena);
  exec.tape = &tape;
  model->llama().FinetuneStep(exec, batch.batch(), plan,
                              ConstTensorView(weight.data(), {n}),
                              TensorView(nll.data(), {n}));
  exec.tape = nullptr;
  double loss = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (mask[i]) loss += nll[i];
  }
  return loss / scored;
}

void CompareGradients(const GoldenTensors& golden, const std::string& case_name,
                      const ParameterStore& store,
                      const std::function<double(const Parameter&)>& tolerance,
                      int at_least) {
  const std::string prefix = case_name + "/";
  int compared = 0;
  double largest = 0;
  for (const auto& [key, tensor] : golden) {
    if (key.rfind(prefix, 0) != 0) continue;
    largest = std::max(largest, Norm(tensor.values));
    EXPECT_NE(store.Find(key.substr(prefix.size())), nullptr) << key;
  }
  for (const Parameter* p : store.trained()) {
    const std::vector<float> ours(p->grad.f32(),
                                  p->grad.f32() + p->grad.size());
    const auto it = golden.find(prefix + p->name);
    if (it == golden.end()) {
      EXPECT_EQ(Norm(ours), 0) << prefix << p->name;
      continue;
    }
    ++compared;
    const std::vector<float>& values = it->second.values;
    ASSERT_EQ(ours.size(), values.size()) << it->first;
    const bool cancels = Norm(values) == 0;
    EXPECT_LE(RelativeDifference(ours, values),
              cancels ? kZeroTolerance * largest : tolerance(*p))
        << it->first;
  }
  EXPECT_GE(compared, at_least) << case_name;
}

}  // namespace caracal::golden
