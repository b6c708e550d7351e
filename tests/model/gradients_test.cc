// Gradients of every trained tensor, in transfer and in every fine-tuning
// mode, against the float64 reference's.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {
namespace {

constexpr int64_t kRows = 2, kTokens = 48;
// Of a tensor's norm. A gradient is the end of sums over at most 320 terms in
// fp32: 320 * 2^-24.
constexpr double kRelativeTolerance = 2e-5;
// Where a gradient cancels to 0 exactly, rounding is left: a share of the
// largest tensor gradient's norm.
constexpr double kZeroTolerance = 1e-6;

class GradientsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder_ + "/expected.json"));
    ASSERT_OK_AND_ASSIGN(golden_,
                         ReadGoldenTensors(folder_ + "/gradients.safetensors"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
    batch_ = std::make_unique<GoldenBatch>(
        GoldenRows(rows_, "tokens", 0, kRows, kTokens + 1), kTokens);
  }

  void SetStudent(const nlohmann::json& c) {
    kernels::HybridAttentionConfig config;
    config.window = c["window"];
    config.sinks = c.value("sinks", 0);
    config.affine = c.value("affine", false);
    if (c.value("kind", "sliding") == "terraced") {
      config.window_kind = kernels::WindowKind::kTerraced;
    }
    LoraConfig lora;
    lora.alpha = expected_["lora_alpha"];
    ASSERT_OK(
        model_->SetStudent(config, lora, folder_ + "/student.safetensors"));
    ParameterStore& store = model_->adapters().parameters();
    store.SetTrained({ParameterGroup::kFeatureMap,
                      ParameterGroup::kWindowFactor, ParameterGroup::kLora});
    store.ZeroGradients();
  }

  // Both return the loss and leave its gradients in the parameters.
  double Transfer() {
    const Llama& llama = model_->llama();
    const ModelConfig& config = llama.weights().config;
    const double elements = static_cast<double>(
        kRows * kTokens * config.heads * config.head_dim * config.layers);
    std::vector<TransferSums> sums(config.layers);
    model_->adapters().lora_active = false;
    model_->exec().arena->Reset();
    llama.TransferStep(model_->exec(), batch_->batch(),
                       {.terms = kernels::kHybridTerms,
                        .output_scale = static_cast<float>(2 / elements)},
                       sums.data());
    double sum = 0;
    for (const TransferSums& s : sums) sum += s.squared_error;
    return sum / elements;
  }

  double Finetune(ComponentMode mode, const std::vector<int32_t>& mask) {
    double scored = 0;
    for (const int32_t m : mask) scored += m;
    std::vector<float> weight, nll(mask.size());
    for (const int32_t m : mask) {
      weight.push_back(static_cast<float>(m / scored));
    }
    const int64_t n = static_cast<int64_t>(mask.size());
    Execution& exec = model_->exec();
    exec.arena->Reset();
    ModePlan plan;
    plan.SetAll(model_->llama().layers(), kRows, model_->llama().heads(), mode);
    Tape tape(exec.arena);
    exec.tape = &tape;
    model_->llama().FinetuneStep(exec, batch_->batch(), plan,
                                 ConstTensorView(weight.data(), {n}),
                                 TensorView(nll.data(), {n}));
    exec.tape = nullptr;
    double loss = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (mask[i]) loss += nll[i];
    }
    return loss / scored;
  }

  std::vector<int32_t> Mask(bool from_data) {
    if (!from_data) return std::vector<int32_t>(kRows * kTokens, 1);
    const std::vector<int32_t> all =
        GoldenRows(rows_, "loss_mask", 0, kRows, kTokens + 1);
    std::vector<int32_t> mask;  // of the targets
    for (int64_t r = 0; r < kRows; ++r) {
      const auto row = all.begin() + r * (kTokens + 1);
      mask.insert(mask.end(), row + 1, row + kTokens + 1);
    }
    return mask;
  }

  // Every tensor that the reference has a gradient of.
  void CompareGradients(const std::string& name) {
    int compared = 0;
    double largest = 0;
    for (const auto& [key, tensor] : golden_) {
      if (key.rfind(name + "/", 0) != 0) continue;
      largest = std::max(largest, Norm(tensor.values));
    }
    for (const auto& [key, tensor] : golden_) {
      if (key.rfind(name + "/", 0) != 0) continue;
      ++compared;
      SCOPED_TRACE(key);
      const Parameter* p =
          model_->adapters().parameters().Find(key.substr(name.size() + 1));
      ASSERT_NE(p, nullptr);
      const float* grad = p->grad.f32();
      const std::vector<float> ours(grad, grad + p->grad.size());
      const bool cancels =
          RelativeDifference(tensor.values,
                             std::vector<float>(tensor.values.size())) == 0;
      EXPECT_LE(RelativeDifference(ours, tensor.values),
                cancels ? kZeroTolerance * largest : kRelativeTolerance);
    }
    EXPECT_GE(compared, 6);
  }

  std::string folder_;
  nlohmann::json expected_;
  GoldenTensors golden_, rows_;
  std::unique_ptr<GoldenModel> model_;
  std::unique_ptr<GoldenBatch> batch_;
};

TEST_F(GradientsTest, MatchTheReference) {
  ASSERT_FALSE(expected_["gradients"].empty());
  for (const auto& [name, c] : expected_["gradients"].items()) {
    SCOPED_TRACE(name);
    SetStudent(c);
    double loss = 0;
    if (c["stage"] == "transfer") {
      loss = Transfer();
    } else {
      const std::string mode_name = c["mode"];
      ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                           ComponentModeFromName(mode_name));
      loss = Finetune(mode, Mask(name == "hybrid_masked"));
    }
    ASSERT_OK(model_->exec().status);
    const double expected = c["loss"];
    EXPECT_NEAR(loss, expected, 1e-5 * expected);
    CompareGradients(name);
  }
}

}  // namespace
}  // namespace caracal::golden
