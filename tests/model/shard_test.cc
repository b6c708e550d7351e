// A model cut over a tensor-parallel group computes what it computes whole:
// losses, and the gradients of every trained tensor. The ranks are threads
// here; dist/ brings real ones.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>
#include <string>

#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"
#include "core/model/shared_gradients.h"
#include "tests/model/golden.h"
#include "tests/model/golden_gradients.h"
#include "tests/model/golden_model.h"

namespace caracal {
namespace {

constexpr int64_t kRows = 2, kTokens = 41;

struct Case {
  const char* model;
  int ranks;  // at most: as many as query heads
  kernels::FeatureMapKind map = kernels::FeatureMapKind::kHedgehog;
  kernels::WindowKind window = kernels::WindowKind::kSliding;
};

StudentConfig Student(const Case& c, int64_t head_dim) {
  StudentConfig student;
  student.attention.window = 8;
  student.attention.sinks = 2;
  student.attention.window_kind = c.window;
  student.attention.feature_map = c.map;
  student.features = head_dim;
  student.feature_bias = true;
  student.lora.projections.fill(true);
  student.lora.rank = 4;
  return student;
}

// Adds something to every value, by its place in the whole model's tensor:
// adapters whose B is zero would have hardly a gradient.
void Disturb(ParameterStore& store) {
  for (const Parameter& p : store.parameters()) {
    const int64_t columns = p.value.size() / p.value.shape[0];
    const int64_t inner = p.value.rank == 3 ? p.value.shape[2] : 1;
    for (int64_t i = 0; i < p.value.size(); ++i) {
      const int64_t row = p.slice.begin[0] + i / columns;
      const int64_t column =
          p.value.rank == 2 ? p.slice.begin[1] + i % columns : i % columns;
      const double place = static_cast<double>(row) * 131.7 +
                           static_cast<double>(column / inner) * 17.3 +
                           static_cast<double>(column % inner) * 3.1 +
                           static_cast<double>(p.name.size() + p.name.back());
      p.value.f32()[i] += static_cast<float>(0.05 * std::sin(place));
    }
  }
}

// What a group computes: losses, and gradients in the whole model's shape.
struct Outcome {
  std::vector<float> nll;
  golden::TransferLosses transfer;
  double finetune = 0;
  std::map<std::string, std::vector<float>> transfer_grads, finetune_grads;
};

void Collect(const ParameterStore& store,
             std::map<std::string, std::vector<float>>* out) {
  for (const Parameter* p : store.trained()) {
    int64_t whole = 1;
    for (int i = 0; i < p->value.rank; ++i) whole *= p->slice.whole[i];
    std::vector<float>& all = (*out)[p->name];
    all.resize(whole);
    if (!p->slice.owned) continue;
    const int64_t mine = p->value.size() / p->value.shape[0];
    const int64_t row = whole / p->slice.whole[0];
    const int64_t first = p->value.rank == 2 ? p->slice.begin[1] : 0;
    for (int64_t i = 0; i < p->value.size(); ++i) {
      all[(p->slice.begin[0] + i / mine) * row + first + i % mine] +=
          p->grad.f32()[i];
    }
  }
}

Outcome RunGroup(const Case& c, int ranks) {
  Outcome out;
  std::mutex mutex;
  RunAsRanks(ranks, [&](Collective& group) {
    const std::string folder = golden::ModelFolder(c.model);
    const auto tensors =
        golden::ReadGoldenTensors(folder + "/rows.safetensors");
    CARACAL_CHECK_OK(tensors.status());
    const golden::GoldenBatch batch(
        golden::GoldenRows(*tensors, "tokens", 0, kRows, kTokens + 1), kTokens);
    auto loaded = golden::GoldenModel::Load(folder, 1, &group);
    CARACAL_CHECK_OK(loaded.status());
    golden::GoldenModel& model = **loaded;
    model.SetStudent(Student(c, model.weights().config.head_dim));
    ParameterStore& store = model.adapters().parameters();
    Disturb(store);
    golden::TrainEverything(&model);
    SharedGradients shared(store.trained());
    golden::TransferLosses transfer = golden::TransferGradients(
        &model, batch, kernels::kHybridTerms, 1.0, 0.5);
    CARACAL_CHECK_OK(model.exec().status);
    CARACAL_CHECK_OK(shared.Sum(group));
    // One rank at a time.
    {
      std::lock_guard<std::mutex> lock(mutex);
      out.transfer.mse += transfer.mse;
      out.transfer.xent += transfer.xent;
      Collect(store, &out.transfer_grads);
    }
    model.adapters().lora_active = true;
    store.ZeroGradients();
    // Every mode in one plan, the same heads whoever has them.
    ModePlan plan;
    plan.SetAll(model.llama().layers(), batch.sequences(),
                model.llama().heads(), ComponentMode::kHybrid);
    plan.SetSequence(0, 1, ComponentMode::kLaOnly);
    for (int64_t h = 0; h < model.llama().heads(); ++h) {
      if ((model.weights().heads.begin + h) % 2 == 1) {
        plan.SetHead(1, 0, h, ComponentMode::kSwaOnly);
      }
    }
    std::vector<int32_t> mask(batch.rows(), 1);
    for (int64_t r = 0; r < batch.rows(); r += 3) mask[r] = 0;
    const double finetune =
        golden::FinetuneGradients(&model, batch, plan, mask);
    CARACAL_CHECK_OK(model.exec().status);
    CARACAL_CHECK_OK(shared.Sum(group));
    const std::vector<float> nll = model.Losses(batch, plan);
    std::lock_guard<std::mutex> lock(mutex);
    Collect(store, &out.finetune_grads);
    // Every rank has the whole loss.
    if (!out.nll.empty()) {
      EXPECT_EQ(out.nll, nll);
      EXPECT_EQ(out.finetune, finetune);
    }
    out.nll = nll;
    out.finetune = finetune;
  });
  return out;
}

void ExpectSame(const std::map<std::string, std::vector<float>>& whole,
                const std::map<std::string, std::vector<float>>& cut) {
  ASSERT_EQ(whole.size(), cut.size());
  double largest = 0;
  for (const auto& [name, values] : whole) {
    largest = std::max(largest, golden::Norm(values));
  }
  for (const auto& [name, values] : whole) {
    ASSERT_EQ(values.size(), cut.at(name).size()) << name;
    if (golden::Norm(values) == 0) {
      EXPECT_EQ(golden::Norm(cut.at(name)), 0) << name;
      continue;
    }
    // The bar of parallel training. What nearly cancels keeps the rounding of
    // the terms it is made of.
    if (golden::Norm(values) < 1e-4 * largest) {
      EXPECT_LE(golden::RelativeDifference(cut.at(name), values), 1e-3) << name;
      continue;
    }
    EXPECT_LE(golden::RelativeDifference(cut.at(name), values), 1e-5) << name;
  }
}

class ShardTest : public testing::TestWithParam<Case> {};

TEST_P(ShardTest, EveryGroupGivesTheLossesAndGradientsOfOneRank) {
  const Outcome whole = RunGroup(GetParam(), 1);
  // More than the models' two key/value heads and one share these.
  for (int ranks = 2; ranks <= GetParam().ranks; ++ranks) {
    SCOPED_TRACE(ranks);
    const Outcome cut = RunGroup(GetParam(), ranks);
    EXPECT_NEAR(cut.transfer.mse, whole.transfer.mse,
                1e-6 * whole.transfer.mse);
    EXPECT_NEAR(cut.transfer.xent, whole.transfer.xent, 1e-6);
    EXPECT_NEAR(cut.finetune, whole.finetune, 1e-6);
    ASSERT_EQ(cut.nll.size(), whole.nll.size());
    for (size_t i = 0; i < whole.nll.size(); ++i) {
      EXPECT_NEAR(whole.nll[i], cut.nll[i], 1e-5) << i;
    }
    ExpectSame(whole.transfer_grads, cut.transfer_grads);
    ExpectSame(whole.finetune_grads, cut.finetune_grads);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, ShardTest,
    testing::Values(Case{.model = "tiny_gqa", .ranks = 4},
                    Case{.model = "tiny_tied",
                         .ranks = 3,
                         .window = kernels::WindowKind::kTerraced},
                    Case{.model = "tiny_gqa",
                         .ranks = 4,
                         .map = kernels::FeatureMapKind::kHedgehogFla}));

}  // namespace
}  // namespace caracal
