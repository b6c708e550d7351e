// Training by passes that are launched as they were recorded: the same bits as
// kernel by kernel, whatever changes in between.
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/device/open_cuda.h"
#include "core/device/recorded_passes.h"
#include "core/optim/adamw.h"
#include "tests/gpu/model_pair.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

struct Case {
  const char* name;
  enum { kTransfer, kTransferOfWeights, kFinetune, kDistill } stage;
  bool wide = false;   // products take the tiles of matmul_hopper.h
  bool drops = false;  // other modes in each step
};

constexpr int kSteps = 8;

// What a training computes: all of it must be the same.
struct Outcome {
  std::vector<float> losses, gradients, parameters;
};

class RecordedPassesCudaTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    RandomModelShape shape;
    if (GetParam().wide) {
      shape.hidden = 2048;
      shape.inner = 2048;
      shape.heads = 24;
      shape.kv_heads = 4;
      shape.positions = 1024;
      lengths_ = {{900, 600, 1, 547}, {700, 900}};
    }
    ASSERT_OK(WriteRandomModel(folder_.File("model"), shape, 5));
  }

  bool transfers() const {
    return GetParam().stage == Case::kTransfer ||
           GetParam().stage == Case::kTransferOfWeights;
  }

  void Load() {
    pair_ = nullptr;
    StudentConfig student;
    student.attention.sinks = 4;
    ASSERT_OK_AND_ASSIGN(pair_,
                         ModelPair::Load(folder_.File("model"), student));
    pair_->gpu.adapters->lora_active = !transfers();
    parameters().SetTrained(
        transfers()
            ? std::vector{ParameterGroup::kFeatureMap,
                          ParameterGroup::kWindowFactor}
            : std::vector{ParameterGroup::kLora, ParameterGroup::kFeatureMap});
    parameters().ZeroGradients();
  }
  ParameterStore& parameters() { return pair_->gpu.adapters->parameters(); }

  void Transfer(Execution& exec, const TokenBatch& batch, Outcome* out) {
    TransferObjective objective = {.output_scale = 1e-3f};
    if (GetParam().stage == Case::kTransferOfWeights) {
      objective.weight_scale = 2e-3f;
    }
    std::vector<TransferSums> sums(pair_->gpu.llama->layers());
    pair_->gpu.llama->TransferStep(exec, batch, objective, sums.data());
    for (const TransferSums& s : sums) {
      for (const double sum : {s.squared_error, s.weights.cross_entropy,
                               s.weights.teacher_entropy}) {
        out->losses.push_back(static_cast<float>(sum));
      }
    }
  }

  // Every third row counts for nothing, and a few more with each step. In some
  // steps a sequence and a head are in other modes; or, with drops, half of all
  // samples and layers, others in each.
  void Finetune(Execution& exec, const TokenBatch& batch, int step,
                Outcome* out) {
    const Llama& llama = *pair_->gpu.llama;
    const int64_t rows = batch.rows();
    std::vector<float> nll(rows), weight(rows), divergence(rows);
    for (int64_t r = 0; r < rows; ++r) {
      weight[r] = r % 3 == 0 || r < step ? 0 : 1e-3f;
    }
    const TensorView weights(weight.data(), {rows});
    LogitKl kl;
    ModePlan plan;
    const bool distill = GetParam().stage == Case::kDistill;
    if (distill) {
      llama.Plan(batch, ComponentMode::kTeacher, &plan);
      kl.teacher_x = llama.Hidden(exec, batch, plan, nullptr);
      kl.row_weight = weights;
      kl.kl = TensorView(divergence.data(), {rows});
    }
    llama.Plan(batch, ComponentMode::kHybrid, &plan);
    if (GetParam().drops) {
      plan.SetSequence(0, 0, ComponentMode::kLaOnly);
      for (int64_t i = 1; i < plan.layers() * plan.sequences(); ++i) {
        if ((i * 7 + step * 5 + step * i) % 4 < 2) {
          plan.SetSequence(i % plan.layers(), i / plan.layers(),
                           ComponentMode::kLaOnly);
        }
      }
    } else if (step % 3 == 2) {
      plan.SetSequence(1, 1, ComponentMode::kLaOnly);
      plan.SetHead(0, 0, 1, ComponentMode::kSwaOnly);
    }
    Tape tape(exec.arena);
    exec.tape = &tape;
    llama.FinetuneStep(exec, batch, plan, weights,
                       TensorView(nll.data(), {rows}), distill ? &kl : nullptr);
    out->losses.insert(out->losses.end(), nll.begin(), nll.end());
    out->losses.insert(out->losses.end(), divergence.begin(), divergence.end());
  }

  // Steps of two micro-batches of different shapes, with other tokens in each,
  // updates after each, another window in the middle, and other modes at times.
  // `before` is called before each step, with its number.
  void Train(
      RecordedPasses* recorded, Outcome* out,
      const std::function<void(int)>& before = [](int) {}) {
    AdamW optimizer(&parameters(), AdamWSettings());
    ASSERT_OK(optimizer.status());
    Execution exec = pair_->gpu.compute.execution();
    exec.recorded = recorded;
    exec.layer_done = layer_done_ == nullptr ? nullptr : &layer_done_;
    for (int step = 0; step < kSteps; ++step) {
      Adapters& adapters = *pair_->gpu.adapters;
      kernels::HybridAttentionConfig attention = adapters.config().attention;
      attention.window = step == 3 || step == 4 ? 32 : 64;
      adapters.set_attention(attention);
      before(step);
      parameters().ZeroGradients();
      for (const std::vector<int64_t>& lengths : lengths_) {
        const RandomBatch rows(lengths, 500 - step);
        exec.arena->Reset();
        exec.tape = nullptr;
        if (transfers()) {
          Transfer(exec, rows.batch(), out);
        } else {
          Finetune(exec, rows.batch(), step, out);
        }
        ASSERT_OK(exec.status);
      }
      for (const ParameterGroup group :
           {ParameterGroup::kLora, ParameterGroup::kFeatureMap,
            ParameterGroup::kWindowFactor}) {
        const std::vector<float> g = GradientsOf(parameters(), group);
        out->gradients.insert(out->gradients.end(), g.begin(), g.end());
      }
      optimizer.Step(exec.ctx, 1e-3f);
    }
    ASSERT_OK(parameters().UseOnHost());
    for (const Parameter& p : parameters().parameters()) {
      out->parameters.insert(out->parameters.end(), p.value.f32(),
                             p.value.f32() + p.value.size());
    }
  }

  TemporaryFolder folder_;
  std::unique_ptr<ModelPair> pair_;
  std::vector<std::vector<int64_t>> lengths_ = {{200, 77, 1, 130}, {64, 300}};
  std::function<void(int)> layer_done_;  // or null
};

TEST_P(RecordedPassesCudaTest, GivesTheSameBits) {
  Outcome launched, recorded;
  Load();
  Train(nullptr, &launched);
  Load();
  {
    RecordedPasses passes(pair_->gpu.compute.device());
    Train(&passes, &recorded);
    // Those of the last two steps at least.
    std::printf("  %d of %d passes launched as recorded\n",
                static_cast<int>(passes.launches()), 2 * kSteps);
    EXPECT_GE(passes.launches(), 4);
  }
  EXPECT_TRUE(std::isfinite(launched.losses.back()));
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.gradients, launched.gradients);
  EXPECT_EQ(recorded.parameters, launched.parameters);
}

// As gradients are reduced while a pass goes on: who is told of a layer finds
// its gradients whole each time, between parts that are recorded.
TEST_P(RecordedPassesCudaTest, TellsOfLayersBetweenParts) {
  struct Seen {
    std::vector<int> layers;
    std::vector<float> gradients;
  };
  const auto train = [this](RecordedPasses* passes, Seen* seen, Outcome* out) {
    Device* const device = pair_->gpu.compute.device();
    // In a run layers lie one after another.
    const ParameterStore::Run& run = parameters().trained_runs()[0];
    std::vector<int64_t> ends(pair_->gpu.llama->layers());
    for (const Parameter* p : run.parameters) {
      for (size_t i = p->slice.layer; i < ends.size(); ++i) {
        ends[i] += p->grad.size();
      }
    }
    const Tensor copy =
        device->Allocate(DType::kF32, {run.step_grad.size()}).value();
    device->SetZero(copy.view().data, copy.bytes());
    const auto take = [&](int layer) {
      seen->layers.push_back(layer);
      const int64_t begin =
          parameters().StepOffset(0, layer == 0 ? 0 : ends[layer - 1]);
      const int64_t end = parameters().StepOffset(0, ends[layer]);
      device->Copy(run.step_grad.f32() + begin, (end - begin) * sizeof(float),
                   copy.view().f32() + begin);
    };
    layer_done_ = [&](int layer) {
      if (passes == nullptr) return take(layer);
      passes->Between([&take, layer] { take(layer); });
    };
    Train(passes, out, [&](int) {
      std::vector<float> values(run.step_grad.size());
      device->Download(copy.view().data, copy.bytes(), values.data());
      ASSERT_OK(device->Wait());
      seen->gradients.insert(seen->gradients.end(), values.begin(),
                             values.end());
    });
    layer_done_ = nullptr;
  };
  Outcome launched, recorded;
  Seen by_kernel, by_part;
  Load();
  train(nullptr, &by_kernel, &launched);
  Load();
  {
    RecordedPasses passes(pair_->gpu.compute.device());
    train(&passes, &by_part, &recorded);
    EXPECT_OK(passes.status());
    EXPECT_GE(passes.launches(), 4);
  }
  EXPECT_EQ(static_cast<int64_t>(by_kernel.layers.size()),
            2 * kSteps * pair_->gpu.llama->layers());
  EXPECT_EQ(by_part.layers, by_kernel.layers);
  EXPECT_EQ(by_part.gradients, by_kernel.gradients);
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.gradients, launched.gradients);
  EXPECT_EQ(recorded.parameters, launched.parameters);
}

// As a checkpoint is taken or read between steps: parameters come to the host,
// and other ones go back.
TEST_P(RecordedPassesCudaTest, TakesParametersFromTheHost) {
  const auto change = [this](int) {
    ASSERT_OK(parameters().UseOnHost());
    for (const Parameter& p : parameters().parameters()) {
      for (int64_t i = 0; i < p.value.size(); ++i) p.value.f32()[i] *= 1.0625f;
    }
  };
  Outcome unchanged, launched, recorded;
  Load();
  Train(nullptr, &unchanged);
  Load();
  Train(nullptr, &launched, change);
  Load();
  {
    RecordedPasses passes(pair_->gpu.compute.device());
    Train(&passes, &recorded, change);
    EXPECT_GE(passes.launches(), 4);
  }
  EXPECT_NE(launched.losses, unchanged.losses);
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.gradients, launched.gradients);
  EXPECT_EQ(recorded.parameters, launched.parameters);
}

// While passes are recorded for the first time there is no memory left, which
// the driver may want for the graphs: then they are launched by kernel.
TEST_P(RecordedPassesCudaTest, NeedsNoMemoryThatIsNotThere) {
  if (std::getenv("MOST_ROWS") != nullptr) {
    GTEST_SKIP() << "the tool that watches needs memory, too";
  }
  Outcome launched, recorded;
  Load();
  Train(nullptr, &launched);
  Load();
  Device* device = pair_->gpu.compute.device();
  std::vector<Tensor> taken;
  const auto take = [&](int step) {
    taken.clear();
    if (step != 1) return;
    constexpr int64_t kMost = int64_t{1} << 36, kLeast = int64_t{1} << 16;
    for (int64_t bytes = kMost; bytes >= kLeast;) {
      absl::StatusOr<Tensor> some = device->Allocate(DType::kU8, {bytes});
      if (some.ok()) {
        taken.push_back(*std::move(some));
      } else {
        bytes /= 2;
      }
    }
    ASSERT_FALSE(taken.empty());
  };
  {
    RecordedPasses passes(device);
    Train(&passes, &recorded, take);
    std::printf("  %d passes launched as recorded\n",
                static_cast<int>(passes.launches()));
  }
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.gradients, launched.gradients);
  EXPECT_EQ(recorded.parameters, launched.parameters);
}

// What is recorded needs no step memory beyond what the first pass took.
TEST_P(RecordedPassesCudaTest, StaysInTheSameStepMemory) {
  Load();
  Outcome outcome;
  Train(nullptr, &outcome);
  const Arena& arena = pair_->gpu.compute.device()->arena();
  const size_t peak = arena.peak_bytes();
  RecordedPasses passes(pair_->gpu.compute.device());
  Train(&passes, &outcome);
  EXPECT_EQ(arena.peak_bytes(), peak);
}

// Nor does one that turns out not to be recorded, and runs after all.
TEST_P(RecordedPassesCudaTest, WhatIsNotRecordedIsLaunchedInTheSameStepMemory) {
  Outcome launched, recorded;
  size_t peaks[2] = {};
  const auto train = [&](RecordedPasses* passes, Outcome* out, size_t* peak) {
    // At the end of a pass, which a recording does not survive.
    const int last =
        transfers() ? static_cast<int>(pair_->gpu.llama->layers()) - 1 : 0;
    layer_done_ = [last](int layer) {
      void* memory = nullptr;
      if (layer != last) return;
      if (cudaMalloc(&memory, 1) == cudaSuccess) cudaFree(memory);
    };
    Train(passes, out);
    layer_done_ = nullptr;
    *peak = pair_->gpu.compute.device()->arena().peak_bytes();
  };
  Load();
  train(nullptr, &launched, &peaks[0]);
  Load();
  {
    RecordedPasses passes(pair_->gpu.compute.device());
    train(&passes, &recorded, &peaks[1]);
    EXPECT_THAT(passes.status(), StatusIs(absl::StatusCode::kUnavailable,
                                          HasSubstr("recording a graph")));
  }
  EXPECT_EQ(peaks[1], peaks[0]);
  EXPECT_EQ(recorded.losses, launched.losses);
  EXPECT_EQ(recorded.gradients, launched.gradients);
  EXPECT_EQ(recorded.parameters, launched.parameters);
}

TEST_P(RecordedPassesCudaTest, ACheckedPassStillNamesTheTensor) {
  if (transfers()) GTEST_SKIP() << "evaluates";
  Load();
  RecordedPasses passes(pair_->gpu.compute.device());
  Execution exec = pair_->gpu.compute.execution();
  exec.recorded = &passes;
  const RandomBatch rows(lengths_[0], 500);
  ModePlan plan;
  pair_->gpu.llama->Plan(rows.batch(), ComponentMode::kHybrid, &plan);
  std::vector<float> nll(rows.rows());
  const auto evaluate = [&] {
    exec.arena->Reset();
    pair_->gpu.llama->Evaluate(exec, rows.batch(), plan,
                               TensorView(nll.data(), {rows.rows()}),
                               TensorView(), nullptr);
  };
  evaluate();
  const std::vector<float> launched = nll;
  evaluate();
  evaluate();
  ASSERT_OK(exec.status);
  EXPECT_EQ(nll, launched);
  EXPECT_EQ(passes.launches(), 1);
  ASSERT_OK(parameters().UseOnHost());
  parameters().Find("layers.1.lora.k.A")->value.f32()[3] = NAN;
  evaluate();
  EXPECT_TRUE(std::isnan(nll.back()));
  EXPECT_EQ(passes.launches(), 2);
  exec.check_finite = true;
  evaluate();
  EXPECT_THAT(exec.status, StatusIs(absl::StatusCode::kDataLoss,
                                    HasSubstr("layer 1, q, k, v: element")));
}

// A pass that takes so much step memory and clears it.
class ClearingPass {
 public:
  explicit ClearingPass(Device* device) : device_(device), passes_(device) {}

  void Run(int64_t bytes) {
    PassKey key;
    key.Add('c');
    passes_.Run(std::move(key), [&] {
      ArenaScope scratch(&device_->arena());
      const TensorView memory = device_->arena().Allocate(DType::kU8, {bytes});
      device_->SetZero(memory.data, bytes);
    });
  }
  int64_t launches() const { return passes_.launches(); }

 private:
  Device* device_;
  RecordedPasses passes_;
};

TEST(RecordedPassesMemoryCudaTest, StepMemoryThatRunsOutEndsWithALine) {
  constexpr int64_t kLeft = int64_t{512} << 20, kSome = 1 << 20;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Device> other, OpenCuda());
  {
    ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Device> device, OpenCuda());
    size_t free = 0, total = 0;
    ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
    ASSERT_OK_AND_ASSIGN(
        const Tensor hog,
        other->Allocate(DType::kU8, {static_cast<int64_t>(free) - kLeft}));
    ClearingPass pass(device.get());
    pass.Run(kSome);
    ASSERT_OK(device->Wait());
    // Recorded now: some of it is to be had, not all, since 192 MiB are the
    // driver's.
    for (int i = 0; i < 3; ++i) {
      pass.Run(kLeft);
      EXPECT_FALSE(device->ok());
      EXPECT_THAT(device->Wait(), StatusIs(absl::StatusCode::kResourceExhausted,
                                           HasSubstr("out of GPU memory")));
    }
    EXPECT_EQ(pass.launches(), 0);
    // It waits for nothing, and records nothing any more.
    EXPECT_EQ(
        cudaStreamSynchronize(static_cast<cudaStream_t>(device->stream())),
        cudaSuccess);
  }
  // The GPU itself is as good as before, and all of its memory there again.
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Device> device, OpenCuda());
  ClearingPass pass(device.get());
  for (int i = 0; i < 3; ++i) pass.Run(2 * kLeft);
  EXPECT_OK(device->Wait());
  EXPECT_EQ(pass.launches(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Stages, RecordedPassesCudaTest,
    ::testing::Values(Case{"Transfer", Case::kTransfer},
                      Case{"TransferWide", Case::kTransfer, /*wide=*/true},
                      Case{"TransferOfWeights", Case::kTransferOfWeights},
                      Case{"Finetune", Case::kFinetune},
                      Case{"FinetuneWide", Case::kFinetune, /*wide=*/true},
                      Case{"FinetuneDrops", Case::kFinetune, /*wide=*/false,
                           /*drops=*/true},
                      Case{"Distill", Case::kDistill}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace caracal
