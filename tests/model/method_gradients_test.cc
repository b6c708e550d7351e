// Gradients of every trained tensor against the float64 reference: the losses
// of attention transfer and fine-tuning with every feature map, bias, tied and
// shared maps, softmax layers, document borders and dropped heads; and of
// distillation from the teacher's logits, both ways.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "jobs/train/component_dropout.h"
#include "tests/model/golden.h"
#include "tests/model/golden_gradients.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_student.h"
#include "tests/model/golden_training.h"

namespace caracal::golden {
namespace {

constexpr int64_t kRows = 2, kTokens = 48;
// Of a tensor's norm: sums over at most 320 terms in fp32, 320 * 2^-24.
constexpr double kRelativeTolerance = 2e-5;
// Where terms cancel: w_h has a few numbers, each the sum over all rows of what
// the softmax part would add and take away, and where a map is not normalised
// that part is a thousandth of a row.
constexpr double kCancelling = 1e-4;
// t2r's features are next to 0 now and then, and attention losses divide by
// their products: a rounding of the projection counts there, and with it the
// order of its sums. The reference itself, in fp32, is up to 3.5e-5 off; with
// OpenBLAS's kernels for AVX-512 and AVX2, 1e-4; with those for SSE, whose
// sums have a quarter of the parts, 2.3e-4.
constexpr double kNextToZero = 4e-4;
// Of the magnitudes that the gradient of w_h sums, two a row, where the golden
// has them. They cancel fully where a row sees nothing outside the window; at a
// window of 100 of 144 tokens and a map that is not normalised, down to 1e-4.
// The softmax part, y and their products with dy are about 8 roundings of
// 2^-24, independent from row to row: over the root of 144 rows less than one.
// The reference itself, in fp32, is up to 1.4e-4 of such a gradient's norm off,
// 1.6e-8 of its terms'.
constexpr double kOfTerms = 0x1p-24;
// Relative, of losses.
constexpr double kLossTolerance = 1e-5;

class MethodGradientsTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string folder = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(expected_, ReadGoldenJson(folder + "/method.json"));
    ASSERT_OK_AND_ASSIGN(
        golden_, ReadGoldenTensors(folder + "/method_gradients.safetensors"));
    ASSERT_OK_AND_ASSIGN(const GoldenTensors rows,
                         ReadGoldenTensors(folder + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder));
    const auto read = [&](const char* name) {
      return GoldenRows(rows, name, 0, kRows, kTokens + 1);
    };
    tokens_ = read("tokens");
    documents_ = read("document");
  }

  void Transfer(const nlohmann::json& c, const GoldenBatch& batch) {
    const std::string mode_name = c["mode"];
    ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                         ComponentModeFromName(mode_name));
    const nlohmann::json& weights = c["weights"];
    const TransferLosses losses = TransferGradients(
        model_.get(), batch, TermsOf(mode), weights.value("mse", 0.0),
        weights.value("xent", 0.0) + weights.value("kl", 0.0));
    if (weights.contains("mse")) {
      ExpectLoss(losses.mse, c["parts"]["mse"]);
    }
    ExpectLoss(losses.xent, c["parts"]["xent"]);
    // A difference of two sums.
    EXPECT_NEAR(losses.kl, c["parts"]["kl"], kLossTolerance * losses.xent);
  }

  void Finetune(const nlohmann::json& c, const GoldenBatch& batch) {
    const bool drops = c["mode"] == "drops";
    const std::string mode_name = drops ? "hybrid" : c["mode"];
    ASSERT_OK_AND_ASSIGN(const ComponentMode mode,
                         ComponentModeFromName(mode_name));
    ModePlan plan;
    model_->llama().Plan(batch.batch(), mode, &plan);
    if (drops) {
      DropRule rule;
      rule.seed = expected_["drops"]["seed"];
      rule.granularity = proto::Curriculum::HEAD;
      ApplyDrops(rule, expected_["drops"]["probability"],
                 expected_["drops"]["step"], 0, batch.batch(), &plan);
    }
    ExpectLoss(FinetuneGradients(model_.get(), batch, plan,
                                 std::vector<int32_t>(batch.rows(), 1)),
               c["loss"]);
  }

  void ExpectLoss(double ours, double golden) {
    EXPECT_NEAR(ours, golden, kLossTolerance * golden);
  }

  nlohmann::json expected_;
  GoldenTensors golden_;
  std::vector<int32_t> tokens_, documents_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(MethodGradientsTest, MatchTheReference) {
  ASSERT_GE(expected_["gradients"].size(), 30);
  for (const nlohmann::json& c : expected_["gradients"]) {
    const std::string name = c["name"], attention = c["attention"];
    SCOPED_TRACE(name);
    const proto::Job job =
        GoldenJobOf("attention { " + attention + " }", kRows,
                    expected_["lora_rank"], expected_["lora_alpha"]);
    ASSERT_OK(SetHashedStudent(model_.get(), job));
    TrainEverything(model_.get());
    const GoldenBatch batch(
        tokens_, kTokens,
        job.attention().reset_at_document() ? &documents_ : nullptr);
    if (c["stage"] == "transfer") {
      Transfer(c, batch);
    } else {
      Finetune(c, batch);
    }
    ASSERT_OK(model_->exec().status);
    const bool t2r = job.attention().feature_map() == "t2r";
    CompareGradients(
        golden_, name, model_->adapters().parameters(),
        [&](const Parameter& p) {
          if (t2r) return kNextToZero;
          return p.group == ParameterGroup::kWindowFactor ? kCancelling
                                                          : kRelativeTolerance;
        },
        2);
  }
}

// A row that reaches beyond windows of 100 and of twice 16.
TEST_F(MethodGradientsTest, LongRowsMatchTheReference) {
  const nlohmann::json& all = expected_["long_gradients"];
  const int64_t tokens = all["seq_len"];
  ASSERT_OK_AND_ASSIGN(
      const GoldenTensors rows,
      ReadGoldenTensors(ModelFolder("tiny_gqa") + "/method_rows.safetensors"));
  const GoldenBatch batch(GoldenRows(rows, "tokens", 0, 1, tokens + 1), tokens);
  ASSERT_GE(all["cases"].size(), 4);
  for (const nlohmann::json& c : all["cases"]) {
    const std::string name = c["name"], attention = c["attention"];
    SCOPED_TRACE(name);
    const proto::Job job =
        GoldenJobOf("attention { " + attention + " }", 1,
                    expected_["lora_rank"], expected_["lora_alpha"]);
    ASSERT_OK(SetHashedStudent(model_.get(), job));
    TrainEverything(model_.get());
    if (c["stage"] == "transfer") {
      Transfer(c, batch);
    } else {
      Finetune(c, batch);
    }
    ASSERT_OK(model_->exec().status);
    CompareGradients(
        golden_, name, model_->adapters().parameters(),
        [&](const Parameter& p) {
          if (p.group != ParameterGroup::kWindowFactor ||
              !c.contains("terms")) {
            return kRelativeTolerance;
          }
          const double terms = c["terms"][p.name];
          return kRelativeTolerance +
                 kOfTerms * terms /
                     Norm(golden_.at(name + "/" + p.name).values);
        },
        6);
  }
}

// A step of the stage itself, at a rate that moves nothing.
TEST_F(MethodGradientsTest, DistillationMatchesTheReference) {
  ASSERT_OK_AND_ASSIGN(
      const GoldenTensors rows,
      ReadGoldenTensors(ModelFolder("tiny_gqa") + "/rows.safetensors"));
  ASSERT_GE(expected_["distillation"].size(), 4);
  for (const nlohmann::json& c : expected_["distillation"]) {
    const std::string name = c["name"], text = c["job"];
    SCOPED_TRACE(name);
    const proto::Job job = GoldenJobOf(text, kRows, expected_["lora_rank"],
                                       expected_["lora_alpha"]);
    ASSERT_OK(SetHashedStudent(model_.get(), job));
    ASSERT_OK_AND_ASSIGN(const auto training,
                         GoldenTraining::Start(model_.get(), rows, 0, job));
    ASSERT_OK_AND_ASSIGN(const std::vector<double> losses,
                         training->RunStage(0, 1, /*learning_rate=*/0));
    ExpectLoss(losses[0], c["loss"]);
    CompareGradients(
        golden_, name, model_->adapters().parameters(),
        [](const Parameter& p) {
          return p.group == ParameterGroup::kWindowFactor ? kCancelling
                                                          : kRelativeTolerance;
        },
        16);
  }
}

}  // namespace
}  // namespace caracal::golden
