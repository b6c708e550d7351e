// The model on a GPU against the model on the host: every component mode, the
// gradients of both stages, statistics. In bf16 each value that is
// stored is off by up to 2^-8 of itself; on its way through L layers a number
// meets some 12 roundings a layer, which are independent: of a vector's norm
// they leave about u sqrt(12 L) / sqrt(3), u = 2^-8: Noise(). What is computed
// from several such numbers has the root of the sum of their squares:
//  - a loss, log sum exp less a logit, of logits with standard deviation 1:
//    sqrt(2) of them, absolutely;
//  - a gradient, which meets 12 roundings a layer there and 24 back (each
//    product has two on its way back): sqrt(3);
//  - a difference of two outputs, y less a target, sqrt(2), and its square
//    twice as much;
//  - a window factor's gradient goes by dy . (y_softmax - y), which is the
//    linear part's share of the distance between the two parts; half of it,
//    about, where models are random and the factor is a half: twice.
//
// CARACAL_TEST_MODEL names a model (SmolLM2, say) to compare besides.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/optim/adamw.h"
#include "kernels/matmul/matmul_rope_cuda.h"
#include "kernels/matmul/matmul_swiglu_cuda.h"
#include "tests/gpu/model_pair.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

constexpr ComponentMode kModes[] = {
    ComponentMode::kHybrid,    ComponentMode::kSwaOnly,
    ComponentMode::kLaOnly,    ComponentMode::kLaPast,
    ComponentMode::kSinksOnly, ComponentMode::kNone,
    ComponentMode::kSoftmax,   ComponentMode::kTeacher,
    ComponentMode::kTeacherSwa};

struct Case {
  const char* name;
  RandomModelShape shape;
  kernels::HybridAttentionConfig attention;
  int64_t features = 64;
  bool all_lora = false;  // or q, k, v, o
  int64_t rank = 8;
  std::vector<int64_t> lengths = {200, 77, 1, 130};
  bool tiles = false;  // products take those of matmul_hopper.h
};

std::vector<Case> Cases() {
  std::vector<Case> cases(4);
  cases[0].name = "D64";
  cases[1].name = "D128AllAdapters";
  cases[1].shape.heads = 4;
  cases[1].shape.kv_heads = 1;
  cases[1].shape.head_dim = 128;
  cases[1].attention.sinks = 4;
  cases[1].all_lora = true;
  cases[1].rank = 5;  // padded to a multiple of 16 bytes
  // Sizes of the plain kernels.
  cases[2].name = "D32F96";
  cases[2].shape.head_dim = 32;
  cases[2].shape.vocabulary = 509;
  cases[2].features = 96;
  cases[3].name = "LolcatsWindow";
  cases[3].attention.window_kind = kernels::WindowKind::kLolcatsTerraced;
  return cases;
}

// Enough rows and columns that products take the tiles of matmul_hopper.h, with
// what is done on them, forward and backward.
Case WideCase() {
  Case wide;
  wide.name = "Wide";
  wide.shape.hidden = 2048;
  wide.shape.inner = 2048;
  wide.shape.layers = 2;
  wide.shape.heads = 24;
  wide.shape.kv_heads = 4;
  wide.shape.positions = 1024;
  wide.all_lora = true;
  wide.lengths = {900, 600, 1, 547};
  wide.tiles = true;
  return wide;
}

class ModelCudaTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    if (c.tiles && kernels::MatMulSwigluCudaSupported()) ExpectTiles();
    path_ = folder_.File("model");
    ASSERT_OK(WriteRandomModel(path_, c.shape, 5));
    StudentConfig student;
    student.attention = c.attention;
    student.features = c.features;
    student.lora.rank = c.rank;
    if (c.all_lora) student.lora.projections.fill(true);
    ASSERT_OK_AND_ASSIGN(pair_, ModelPair::Load(path_, student));
    layers_ = static_cast<double>(c.shape.layers);
  }
  void ExpectTiles() const {
    const Case& c = GetParam();
    const int64_t rows =
        std::accumulate(c.lengths.begin(), c.lengths.end(), int64_t{0});
    const int64_t D = c.shape.head_dim;
    const int64_t qkv = (c.shape.heads + 2 * c.shape.kv_heads) * D;
    EXPECT_TRUE(kernels::MatMulSwigluCudaSuits(rows, c.shape.inner));
    EXPECT_TRUE(kernels::MatMulSwigluBackwardCudaSuits(rows, c.shape.inner));
    EXPECT_TRUE(kernels::MatMulRopeCudaSuits(rows, qkv, D));
  }
  double Noise() const { return 0x1p-8 * std::sqrt(12 * layers_ / 3); }
  double LossNoise() const { return std::sqrt(2) * Noise(); }
  double GradientNoise() const { return std::sqrt(3) * Noise(); }
  double SquaredErrorNoise() const { return 2 * std::sqrt(2) * Noise(); }
  // The error of losses, of those that are computed.
  void CompareLosses(const std::vector<float>& got,
                     const std::vector<float>& want) const {
    double sum = 0;
    int64_t count = 0;
    for (size_t r = 0; r < want.size(); ++r) {
      EXPECT_EQ(got[r] == 0, want[r] == 0) << r;
      sum += (got[r] - want[r]) * (got[r] - want[r]);
      count += want[r] != 0;
    }
    ASSERT_GT(count, 0);
    const double error = std::sqrt(sum / static_cast<double>(count));
    std::printf("  losses: %.5f, bound %.5f\n", error, LossNoise());
    EXPECT_LT(error, LossNoise());
  }
  // A divergence is half the variance of the differences of two models'
  // logits, each of which is off: so is the root of it, relatively the more the
  // nearer they are.
  void CompareDivergences(const std::vector<float>& got,
                          const std::vector<float>& want) const {
    double sum = 0;
    int64_t count = 0;
    for (const float kl : want) {
      sum += kl;
      count += kl != 0;
    }
    ASSERT_GT(count, 0);
    const double difference = std::sqrt(2 * sum / static_cast<double>(count));
    const double bound = 2 * std::sqrt(2) * Noise() / difference;
    const double error = RelativeError(got, want);
    std::printf("  divergences: %.5f, bound %.5f\n", error, bound);
    EXPECT_LT(error, bound);
  }
  void CompareSquaredErrors(const std::vector<TransferSums>& got,
                            const std::vector<TransferSums>& want) const {
    for (size_t i = 0; i < want.size(); ++i) {
      const double ratio = got[i].squared_error / want[i].squared_error;
      std::printf("  squared error of layer %zu: %+.5f, bound %.5f\n", i,
                  ratio - 1, SquaredErrorNoise());
      EXPECT_NEAR(ratio, 1, SquaredErrorNoise()) << "layer " << i;
    }
  }

  std::vector<float> Losses(ModelSide& side, ComponentMode mode,
                            AttentionStatistics* statistics = nullptr) {
    Execution exec = side.compute.execution();
    ModePlan plan;
    side.llama->Plan(batch_.batch(), mode, &plan);
    std::vector<float> nll(batch_.rows());
    exec.arena->Reset();
    side.llama->Evaluate(exec, batch_.batch(), plan,
                         TensorView(nll.data(), {batch_.rows()}), TensorView(),
                         statistics);
    EXPECT_OK(exec.status);
    return nll;
  }
  std::vector<float> LogitsOf(ModelSide& side, ComponentMode mode) {
    Execution exec = side.compute.execution();
    ModePlan plan;
    side.llama->Plan(batch_.batch(), mode, &plan);
    exec.arena->Reset();
    const TensorView hidden =
        side.llama->Hidden(exec, batch_.batch(), plan, nullptr);
    const std::vector<int64_t> rows = {0, 63, 150, 199, 276, 277, 400};
    const TensorView logits = side.llama->Logits(exec, hidden, rows);
    EXPECT_OK(exec.status);
    return {logits.f32(), logits.f32() + logits.size()};
  }

  // Sums and gradients of a micro-batch of transfer.
  std::vector<TransferSums> Transfer(ModelSide& side,
                                     const TransferObjective& objective = {
                                         .output_scale = 1e-3f,
                                         .weight_scale = 0}) {
    Execution exec = side.compute.execution();
    exec.arena->Reset();
    std::vector<TransferSums> sums(side.llama->layers());
    side.llama->TransferStep(exec, batch_.batch(), objective, sums.data());
    EXPECT_OK(exec.status);
    return sums;
  }

  struct Finetuned {
    std::vector<float> nll, kl;
  };
  // Of every third row nothing counts; the last ones distill alone.
  Finetuned Finetune(ModelSide& side, bool distill, bool mask,
                     ComponentMode mode = ComponentMode::kHybrid) {
    Execution exec = side.compute.execution();
    exec.arena->Reset();
    const int64_t rows = batch_.rows();
    Finetuned out{std::vector<float>(rows), std::vector<float>(rows)};
    std::vector<float> weight(rows), kl_weight(rows);
    for (int64_t r = 0; r < rows; ++r) {
      const bool counts = !mask || r % 3 != 0;
      weight[r] = counts && (!mask || r < 300) ? 1e-3f : 0;
      kl_weight[r] = counts ? 2e-3f : 0;
    }
    LogitKl kl;
    if (distill) {
      ModePlan teacher;
      side.llama->Plan(batch_.batch(), ComponentMode::kTeacher, &teacher);
      kl.teacher_x = side.llama->Hidden(exec, batch_.batch(), teacher, nullptr);
      kl.row_weight = TensorView(kl_weight.data(), {rows});
      kl.kl = TensorView(out.kl.data(), {rows});
    }
    ModePlan plan;
    side.llama->Plan(batch_.batch(), mode, &plan);
    if (mode == ComponentMode::kHybrid) {
      // One sequence, one head of another, in other modes.
      plan.SetSequence(1, 1, ComponentMode::kSwaOnly);
      plan.SetHead(0, 2, 1, ComponentMode::kLaPast);
    }
    Tape tape(exec.arena);
    exec.tape = &tape;
    side.llama->FinetuneStep(
        exec, batch_.batch(), plan, TensorView(weight.data(), {rows}),
        TensorView(out.nll.data(), {rows}), distill ? &kl : nullptr);
    EXPECT_OK(exec.status);
    return out;
  }

  void CompareGradients(ParameterGroup group) {
    const double bound =
        (group == ParameterGroup::kWindowFactor ? 2 : 1) * GradientNoise();
    const std::vector<float> host =
        GradientsOf(pair_->host.adapters->parameters(), group);
    const std::vector<float> gpu =
        GradientsOf(pair_->gpu.adapters->parameters(), group);
    const double error = RelativeError(gpu, host);
    std::printf("  gradients of %s: %.5f, bound %.5f\n",
                std::string(NameOf(group)).c_str(), error, bound);
    EXPECT_LT(error, bound) << NameOf(group);
  }

  TemporaryFolder folder_;
  std::string path_;
  std::unique_ptr<ModelPair> pair_;
  double layers_ = 0;
  const RandomBatch batch_{GetParam().lengths, 500};
};

TEST_P(ModelCudaTest, LogitsAgreeInEveryMode) {
  for (const ComponentMode mode : kModes) {
    SCOPED_TRACE(NameOf(mode));
    const std::vector<float> host = LogitsOf(pair_->host, mode);
    const double error = RelativeError(LogitsOf(pair_->gpu, mode), host);
    std::printf("  %-12s logits: %.5f, noise %.5f\n",
                std::string(NameOf(mode)).c_str(), error, Noise());
    EXPECT_LT(error, Noise());
    CompareLosses(Losses(pair_->gpu, mode), Losses(pair_->host, mode));
  }
}

TEST_P(ModelCudaTest, TransferAgrees) {
  pair_->SetTrained(
      {ParameterGroup::kFeatureMap, ParameterGroup::kWindowFactor});
  const std::vector<TransferSums> host = Transfer(pair_->host);
  const std::vector<TransferSums> gpu = Transfer(pair_->gpu);
  CompareSquaredErrors(gpu, host);
  CompareGradients(ParameterGroup::kFeatureMap);
  CompareGradients(ParameterGroup::kWindowFactor);
  // A second micro-batch adds.
  Transfer(pair_->host);
  Transfer(pair_->gpu);
  CompareGradients(ParameterGroup::kFeatureMap);
}

// By itself, of linear attention alone, and beside the outputs' loss.
TEST_P(ModelCudaTest, TransferOfWeightsAgrees) {
  for (const TransferObjective& objective :
       {TransferObjective{.terms = kernels::kLaOnlyTerms,
       .weight_scale = 1e-3f},
        TransferObjective{.output_scale = 1e-3f, .weight_scale = 2e-3f}}) {
    pair_->SetTrained(
        {ParameterGroup::kFeatureMap, ParameterGroup::kWindowFactor});
    const std::vector<TransferSums> host = Transfer(pair_->host, objective);
    const std::vector<TransferSums> gpu = Transfer(pair_->gpu, objective);
    for (size_t i = 0; i < host.size(); ++i) {
      const kernels::AttentionWeightLoss &a = gpu[i].weights,
                                         &b = host[i].weights;
      EXPECT_NEAR(a.cross_entropy / b.cross_entropy, 1, Noise()) << i;
      EXPECT_NEAR(a.teacher_entropy / b.teacher_entropy, 1, Noise()) << i;
    }
    CompareGradients(ParameterGroup::kFeatureMap);
    if (objective.output_scale != 0) {
      CompareGradients(ParameterGroup::kWindowFactor);
    }
  }
}

TEST_P(ModelCudaTest, FinetuneAgrees) {
  for (const bool distill : {false, true}) {
    for (const bool mask : {false, true}) {
      SCOPED_TRACE(absl::StrCat("distill ", distill, ", mask ", mask));
      pair_->SetTrained({ParameterGroup::kLora, ParameterGroup::kFeatureMap,
                         ParameterGroup::kWindowFactor});
      const Finetuned host = Finetune(pair_->host, distill, mask);
      const Finetuned gpu = Finetune(pair_->gpu, distill, mask);
      CompareLosses(gpu.nll, host.nll);
      if (distill) CompareDivergences(gpu.kl, host.kl);
      CompareGradients(ParameterGroup::kLora);
      CompareGradients(ParameterGroup::kFeatureMap);
      CompareGradients(ParameterGroup::kWindowFactor);
    }
  }
}

TEST_P(ModelCudaTest, FinetuneOfFullAttentionAgrees) {
  pair_->SetTrained({ParameterGroup::kLora});
  const auto finetune = [&](ModelSide& side) {
    return Finetune(side, /*distill=*/false, /*mask=*/true,
                    ComponentMode::kSoftmax);
  };
  const Finetuned host = finetune(pair_->host);
  const Finetuned gpu = finetune(pair_->gpu);
  CompareLosses(gpu.nll, host.nll);
  CompareGradients(ParameterGroup::kLora);
}

TEST_P(ModelCudaTest, StatisticsAgree) {
  const int64_t layers = pair_->host.llama->layers();
  const int64_t heads = pair_->host.llama->heads();
  AttentionStatistics host(layers, heads), gpu(layers, heads);
  Losses(pair_->host, ComponentMode::kHybrid, &host);
  Losses(pair_->gpu, ComponentMode::kHybrid, &gpu);
  for (int64_t l = 0; l < layers; ++l) {
    for (int64_t h = 0; h < heads; ++h) {
      const AttentionStatistics::Row a = host.mean(l, h), b = gpu.mean(l, h);
      EXPECT_EQ(host.rows(l, h), gpu.rows(l, h));
      EXPECT_NEAR(a.la_mass, b.la_mass, Noise());
      EXPECT_NEAR(a.la_output_share, b.la_output_share, Noise());
      EXPECT_NEAR(a.teacher_out_mass, b.teacher_out_mass, Noise());
      EXPECT_NEAR(a.sink_mass, b.sink_mass, Noise());
      EXPECT_NEAR(a.teacher_sink_mass, b.teacher_sink_mass, Noise());
    }
  }
}

// The same gradients on both sides: AdamW's steps are the same fp32 numbers,
// but for the order of a sum of squares.
TEST_P(ModelCudaTest, AdamWAgreesAndStateMoves) {
  pair_->SetTrained({ParameterGroup::kLora, ParameterGroup::kWindowFactor});
  Finetune(pair_->gpu, false, false);
  ParameterStore& on_gpu = pair_->gpu.adapters->parameters();
  ParameterStore& on_host = pair_->host.adapters->parameters();
  ASSERT_OK(on_gpu.GradientsToHost());
  for (size_t i = 0; i < on_gpu.parameters().size(); ++i) {
    const Parameter& from = on_gpu.parameters()[i];
    if (!from.grad.defined()) continue;
    std::copy(from.grad.f32(), from.grad.f32() + from.grad.size(),
              on_host.parameters()[i].grad.f32());
  }
  AdamWSettings settings;
  settings.grad_clip = 1e-3f;
  settings.weight_decay.fill(0.01f);
  AdamW host(&on_host, settings), gpu(&on_gpu, settings);
  ASSERT_OK(gpu.status());
  for (int step = 0; step < 3; ++step) {
    const double a = host.Step(pair_->host.compute.execution().ctx, 1e-2f);
    const double b = gpu.Step(pair_->gpu.compute.execution().ctx, 1e-2f);
    EXPECT_NEAR(a, b, 1e-6 * a);
    // On the way the moments visit the host, as for a checkpoint.
    if (step == 1) gpu.moments();
  }
  ASSERT_OK(on_gpu.UseOnHost());
  ASSERT_EQ(host.moments().size(), gpu.moments().size());
  for (size_t i = 0; i < gpu.moments().size(); ++i) {
    const AdamW::Moments& a = host.moments()[i];
    const AdamW::Moments& b = gpu.moments()[i];
    const Parameter& p = *a.of.parameter;
    const auto all = [](const TensorView& v) {
      return std::vector<float>(v.f32(), v.f32() + v.size());
    };
    EXPECT_LT(RelativeError(all(b.first), all(a.first)), 1e-6) << p.name;
    EXPECT_LT(RelativeError(all(b.second), all(a.second)), 1e-6) << p.name;
    EXPECT_LT(RelativeError(all(b.of.parameter->value), all(p.value)), 1e-6)
        << p.name;
  }
}

TEST_P(ModelCudaTest, ACheckedPassNamesTheFirstTensorThatIsNotFinite) {
  ParameterStore& store = pair_->gpu.adapters->parameters();
  ASSERT_OK(store.UseOnHost());
  store.Find("layers.1.lora.k.A")->value.f32()[3] = NAN;
  Execution exec = pair_->gpu.compute.execution();
  exec.check_finite = true;
  ModePlan plan;
  pair_->gpu.llama->Plan(batch_.batch(), ComponentMode::kHybrid, &plan);
  std::vector<float> nll(batch_.rows());
  exec.arena->Reset();
  pair_->gpu.llama->Evaluate(exec, batch_.batch(), plan,
                             TensorView(nll.data(), {batch_.rows()}),
                             TensorView(), nullptr);
  EXPECT_THAT(exec.status,
              StatusIs(absl::StatusCode::kDataLoss,
                       ::testing::HasSubstr("layer 1, q, k, v: element")));
}

// Of a batch that masks leave a part of, a few rows more go through the head:
// what comes of them is nobody's business. One token's weights are so large
// that the logits of many rows overflow.
TEST_P(ModelCudaTest, ACheckedPassLeavesOutRowsThatDoNotCount) {
  pair_->SetTrained({ParameterGroup::kLora});
  const int64_t rows = batch_.rows();
  const ConstTensorView head = pair_->gpu.weights.lm_head.dense();
  // A product with one of the stream's normed values is finite still.
  const std::vector<uint16_t> large(head.shape[1], Bf16FromFloat(0x1p124f));
  pair_->gpu.compute.device()->Upload(
      large.data(), large.size() * sizeof(uint16_t),
      static_cast<uint16_t*>(const_cast<void*>(head.data)) +
          (head.shape[0] - 1) * head.stride[0]);
  const std::vector<float> nll = Losses(pair_->gpu, ComponentMode::kHybrid);
  const auto usual = [&](int64_t r) { return nll[r] < 100; };
  // One more than the rows of a product; those beside them are the first.
  constexpr int64_t kCounted = 65, kBeside = 63;
  std::vector<float> weight(rows), losses(rows);
  int64_t counted = 0;
  for (int64_t r = 0; r < rows && counted < kCounted; ++r) {
    if (!usual(r)) continue;
    weight[r] = 1e-3f;
    ++counted;
  }
  ASSERT_EQ(counted, kCounted);
  const auto bad = std::find_if(nll.begin(), nll.begin() + kBeside,
                                [](float n) { return !std::isfinite(n); }) -
                   nll.begin();
  ASSERT_LT(bad, kBeside);
  const auto step = [&] {
    Execution exec = pair_->gpu.compute.execution();
    exec.check_finite = true;
    exec.arena->Reset();
    ModePlan plan;
    pair_->gpu.llama->Plan(batch_.batch(), ComponentMode::kHybrid, &plan);
    Tape tape(exec.arena);
    exec.tape = &tape;
    pair_->gpu.llama->FinetuneStep(exec, batch_.batch(), plan,
                                   TensorView(weight.data(), {rows}),
                                   TensorView(losses.data(), {rows}), nullptr);
    return exec.status;
  };
  EXPECT_OK(step());
  for (int64_t r = 0; r < rows; ++r) {
    EXPECT_EQ(losses[r] != 0, weight[r] != 0) << r;
    EXPECT_TRUE(std::isfinite(losses[r])) << r;
  }
  for (const float g :
       GradientsOf(pair_->gpu.adapters->parameters(), ParameterGroup::kLora)) {
    ASSERT_TRUE(std::isfinite(g));
  }
  weight[bad] = 1e-3f;
  EXPECT_THAT(step(), StatusIs(absl::StatusCode::kDataLoss,
                               ::testing::HasSubstr("loss: element")));
}

// Steps allocate nothing once memory is planned, and give the same bits.
TEST_P(ModelCudaTest, StepsRepeatBitForBitInTheSameMemory) {
  pair_->SetTrained({ParameterGroup::kLora});
  std::vector<float> first;
  uint64_t peak = 0;
  for (int i = 0; i < 3; ++i) {
    pair_->gpu.adapters->parameters().ZeroGradients();
    Finetune(pair_->gpu, false, false);
    const std::vector<float> grads =
        GradientsOf(pair_->gpu.adapters->parameters(), ParameterGroup::kLora);
    if (i == 0) {
      first = grads;
      peak = pair_->gpu.compute.device()->peak_bytes();
    }
    EXPECT_EQ(grads, first);
    EXPECT_EQ(pair_->gpu.compute.device()->peak_bytes(), peak);
  }
}

class WideModelCudaTest : public ModelCudaTest {};

TEST_P(WideModelCudaTest, PassesAgree) {
  const std::vector<float> logits =
      LogitsOf(pair_->host, ComponentMode::kHybrid);
  EXPECT_LT(RelativeError(LogitsOf(pair_->gpu, ComponentMode::kHybrid), logits),
            Noise());
  pair_->SetTrained(
      {ParameterGroup::kFeatureMap, ParameterGroup::kWindowFactor});
  const std::vector<TransferSums> host = Transfer(pair_->host);
  const std::vector<TransferSums> gpu = Transfer(pair_->gpu);
  CompareSquaredErrors(gpu, host);
  CompareGradients(ParameterGroup::kFeatureMap);
  pair_->SetTrained({ParameterGroup::kLora});
  CompareLosses(Finetune(pair_->gpu, false, false).nll,
                Finetune(pair_->host, false, false).nll);
  CompareGradients(ParameterGroup::kLora);
}

INSTANTIATE_TEST_SUITE_P(Shapes, WideModelCudaTest,
                         ::testing::Values(WideCase()), [](const auto& info) {
                           return std::string(info.param.name);
                         });

INSTANTIATE_TEST_SUITE_P(Shapes, ModelCudaTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(NamedModelCudaTest, LogitsAgree) {
  const char* path = std::getenv("CARACAL_TEST_MODEL");
  if (path == nullptr) GTEST_SKIP() << "CARACAL_TEST_MODEL is not set";
  StudentConfig student;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ModelPair> pair,
                       ModelPair::Load(path, student));
  const RandomBatch batch({300, 212}, pair->source->config().vocab_size);
  const double layers = static_cast<double>(pair->host.llama->layers());
  // Base weights are rounded too here.
  const double noise = 0x1p-8 * std::sqrt(16 * layers / 3);
  for (const ComponentMode mode :
       {ComponentMode::kTeacher, ComponentMode::kHybrid}) {
    std::vector<float> logits[2];
    for (ModelSide* side : {&pair->host, &pair->gpu}) {
      Execution exec = side->compute.execution();
      ModePlan plan;
      side->llama->Plan(batch.batch(), mode, &plan);
      exec.arena->Reset();
      const TensorView hidden =
          side->llama->Hidden(exec, batch.batch(), plan, nullptr);
      const std::vector<int64_t> rows = {5, 100, 299, 511};
      const TensorView out = side->llama->Logits(exec, hidden, rows);
      ASSERT_OK(exec.status);
      logits[side == &pair->gpu].assign(out.f32(), out.f32() + out.size());
    }
    const double error = RelativeError(logits[1], logits[0]);
    std::printf("  %s: %.5f, noise %.5f\n", std::string(NameOf(mode)).c_str(),
                error, noise);
    EXPECT_LT(error, noise);
  }
}

}  // namespace
}  // namespace caracal
