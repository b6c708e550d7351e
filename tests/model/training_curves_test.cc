// Both stages, step by step, against the float64 reference: losses of twenty
// steps, and the trained tensors after three.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"
#include "tests/model/golden_training.h"

namespace caracal::golden {
namespace {

// Relative, of losses: as a gradient's own for the first steps; AdamW divides
// by the gradient's size, so what is small in it is rounded anew every step.
constexpr double kFirstSteps = 1e-5, kLaterSteps = 1e-4;
// Of the way that a tensor went.
constexpr double kTensors = 1e-4;

void CompareLosses(const std::vector<double>& ours,
                   const std::vector<double>& golden) {
  ASSERT_EQ(ours.size(), golden.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i], golden[i],
                golden[i] * (i < 3 ? kFirstSteps : kLaterSteps))
        << "step " << i;
  }
}

class TrainingCurvesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = ModelFolder("tiny_gqa");
    ASSERT_OK_AND_ASSIGN(const nlohmann::json expected,
                         ReadGoldenJson(folder_ + "/expected.json"));
    curves_ = expected["curves"];
    ASSERT_OK_AND_ASSIGN(tensors_,
                         ReadGoldenTensors(folder_ + "/curves.safetensors"));
    ASSERT_OK_AND_ASSIGN(rows_,
                         ReadGoldenTensors(folder_ + "/rows.safetensors"));
    ASSERT_OK_AND_ASSIGN(model_, GoldenModel::Load(folder_));
  }

  // Untrained, with the golden's initial LoRA; or from a student file.
  void SetStudent(const std::string& file = "") {
    kernels::HybridAttentionConfig config;
    config.window = curves_["window"];
    config.sinks = curves_["sinks"];
    LoraConfig lora;
    lora.rank = curves_["lora_rank"];
    lora.alpha = curves_["lora_alpha"];
    ASSERT_OK(model_->SetStudent(config, lora,
                                 file.empty() ? "" : folder_ + "/" + file));
    if (!file.empty()) return;
    for (const Parameter& p : model_->adapters().parameters().parameters()) {
      const auto it = tensors_.find("initial/" + p.name);
      if (it == tensors_.end()) continue;
      const std::vector<float>& values = it->second.values;
      ASSERT_EQ(static_cast<int64_t>(values.size()), p.value.size());
      std::copy(values.begin(), values.end(), p.value.f32());
    }
  }

  std::unique_ptr<GoldenTraining> Start(const std::string& preset) {
    absl::StatusOr<std::unique_ptr<GoldenTraining>> training =
        GoldenTraining::Start(model_.get(), rows_, 0,
                              GoldenJob(preset, curves_["batch"]));
    EXPECT_OK(training.status());
    return *std::move(training);
  }

  std::vector<float> Values(const std::string& name) {
    const TensorView v = model_->adapters().parameters().Find(name)->value;
    return std::vector<float>(v.f32(), v.f32() + v.size());
  }

  // How far the tensors named `kind` are from the golden's, over how far they
  // went.
  void CompareTensors(const std::string& golden, const std::string& kind,
                      const std::map<std::string, std::vector<float>>& start,
                      double tolerance) {
    int compared = 0;
    for (const auto& [name, before] : start) {
      if (name.find(kind) == std::string::npos) continue;
      ++compared;
      const std::vector<float>& end = tensors_.at(golden + "/" + name).values;
      const double moved = RelativeDifference(end, before) *
                           (Norm(before) > 0 ? Norm(before) : 1);
      const double apart = RelativeDifference(Values(name), end) *
                           (Norm(end) > 0 ? Norm(end) : 1);
      EXPECT_LE(apart, tolerance * moved) << name;
    }
    EXPECT_GT(compared, 0);
  }

  std::map<std::string, std::vector<float>> AllValues() {
    std::map<std::string, std::vector<float>> values;
    for (const Parameter& p : model_->adapters().parameters().parameters()) {
      values[p.name] = Values(p.name);
    }
    return values;
  }

  double transfer_lr() { return curves_["transfer_lr"]; }
  double finetune_lr() { return curves_["finetune_lr"]; }

  std::string folder_;
  nlohmann::json curves_;
  GoldenTensors tensors_, rows_;
  std::unique_ptr<GoldenModel> model_;
};

TEST_F(TrainingCurvesTest, LolcatsTwentyStepsAStage) {
  SetStudent();
  const auto start = AllValues();
  const auto training = Start("lolcats");
  ASSERT_OK_AND_ASSIGN(std::vector<double> losses,
                       training->RunStage(0, 20, transfer_lr()));
  CompareLosses(losses, curves_["lolcats"]["transfer"]);
  ASSERT_OK_AND_ASSIGN(losses, training->RunStage(1, 20, finetune_lr()));
  CompareLosses(losses, curves_["lolcats"]["finetune"]);
  CompareTensors("after_lolcats", "feature_map", start, kTensors);
  CompareTensors("after_lolcats", "window_factor", start, kTensors);
  CompareTensors("after_lolcats", "lora", start, kTensors);
}

TEST_F(TrainingCurvesTest, ParametersAfterThreeStepsOfTransfer) {
  SetStudent();
  const auto start = AllValues();
  ASSERT_OK(Start("lolcats")->RunStage(0, 3, transfer_lr()));
  CompareTensors("after_3_transfer", "feature_map", start, kTensors);
  CompareTensors("after_3_transfer", "window_factor", start, kTensors);
  const auto end = AllValues();
  for (const auto& [name, values] : start) {
    if (name.find("lora") != std::string::npos) {
      EXPECT_EQ(end.at(name), values) << name << " is frozen in transfer";
    }
  }
}

TEST_F(TrainingCurvesTest, SwaControlTwentySteps) {
  SetStudent();
  const auto start = AllValues();
  ASSERT_OK_AND_ASSIGN(const std::vector<double> losses,
                       Start("swa_control")->RunStage(0, 20, finetune_lr()));
  CompareLosses(losses, curves_["swa_control"]["finetune"]);
  const auto end = AllValues();
  for (const auto& [name, values] : start) {
    if (name.find("lora") == std::string::npos) {
      EXPECT_EQ(end.at(name), values) << name << " is frozen in fine-tuning";
    }
  }
}

TEST_F(TrainingCurvesTest, FinetuningGoesOnFromAStudent) {
  const std::pair<std::string, proto::ComponentMode> modes[] = {
      {"hybrid", proto::HYBRID},
      {"swa_only", proto::SWA_ONLY},
      {"la_only", proto::LA_ONLY}};
  for (const auto& [name, mode] : modes) {
    SCOPED_TRACE(name);
    SetStudent("student.safetensors");
    proto::Job job = GoldenJob("lolcats", curves_["batch"]);
    job.mutable_stages(1)->mutable_finetune()->set_student_mode(mode);
    ASSERT_OK_AND_ASSIGN(const auto training,
                         GoldenTraining::Start(model_.get(), rows_, 0, job));
    ASSERT_OK_AND_ASSIGN(const std::vector<double> losses,
                         training->RunStage(1, 3, finetune_lr()));
    CompareLosses(losses, curves_["from_student_" + name]);
  }
}

}  // namespace
}  // namespace caracal::golden
