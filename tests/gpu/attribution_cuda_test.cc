// Attribution on a GPU, as `caracal attribute --device` and the workers of
// caracal-evald run it, against the host's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "eval/probe/probe_runner.h"
#include "jobs/client/attribution_session.h"
#include "tests/gpu/model_pair.h"
#include "tests/gpu/random_model.h"

namespace caracal {
namespace {

// A mean over hundreds of tokens: what is left of the noise of one is its bias.
constexpr double kLossNoise = 0x1p-8;

class AttributionCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteRandomModel(folder_.File("model"), {}, 5));
    ASSERT_OK(WriteByteTokenizer(folder_.File("model")));
    ASSERT_OK(WriteRandomData(folder_.File("rows.h5"), 6, 200, 256, 1));
    spec_.set_model(folder_.File("model"));
    spec_.set_data(folder_.File("rows.h5"));
    spec_.set_window(48);
    spec_.set_sinks(2);
    spec_.set_bootstrap_samples(200);
  }

  absl::StatusOr<AttributionResult> Measure(const char* device) {
    Compute compute(0);
    ASSIGN_OR_RETURN(const auto session, AttributionSession::Open(
                                             spec_, device, &compute, nullptr));
    EXPECT_EQ(compute.device() != nullptr, std::string(device) != "cpu");
    return session->Measure(nullptr);
  }

  TemporaryFolder folder_;
  proto::EvaluationSpec spec_;
};

TEST_F(AttributionCudaTest, EveryModeLiesInTheHostsIntervals) {
  spec_.add_mode_at("layers=0:la_only");
  spec_.set_ablate("layers");
  ASSERT_OK_AND_ASSIGN(const AttributionResult cpu, Measure("cpu"));
  ASSERT_OK_AND_ASSIGN(const AttributionResult gpu, Measure("cuda"));
  ASSERT_EQ(gpu.modes.size(), cpu.modes.size());
  EXPECT_EQ(cpu.modes.size(), 9);  // eight, and one with its own override
  for (size_t i = 0; i < cpu.modes.size(); ++i) {
    const ModeResult &a = cpu.modes[i], &b = gpu.modes[i];
    std::printf("  %-24s %.5f, on the GPU %.5f\n", a.mode.c_str(), a.loss,
                b.loss);
    EXPECT_EQ(a.mode, b.mode);
    EXPECT_GT(b.loss, a.interval.low) << a.mode;
    EXPECT_LT(b.loss, a.interval.high) << a.mode;
    EXPECT_NEAR(b.loss / a.loss, 1, kLossNoise) << a.mode;
  }
  ASSERT_EQ(gpu.masses.la_mass.size(), cpu.masses.la_mass.size());
  EXPECT_NEAR(GridMean(gpu.masses.la_mass), GridMean(cpu.masses.la_mass),
              kLossNoise);
  EXPECT_NEAR(GridMean(gpu.masses.la_output_share),
              GridMean(cpu.masses.la_output_share), kLossNoise);
}

// As workers take them: parts of a plan, measured one by one.
TEST_F(AttributionCudaTest, PartsAreTheWhole) {
  spec_.set_modes("hybrid,la_only");
  spec_.set_probe("passkey");
  spec_.set_probe_lengths("200");
  spec_.set_probe_samples(2);
  spec_.set_part_rows(2);
  ASSERT_OK_AND_ASSIGN(const AttributionResult whole, Measure("cuda"));
  Compute compute(0);
  ASSERT_OK_AND_ASSIGN(
      const auto session,
      AttributionSession::Open(spec_, "cuda", &compute, nullptr));
  ASSERT_OK_AND_ASSIGN(const proto::EvaluationPlan plan, session->Plan());
  std::vector<proto::EvaluationPart> parts(1);
  *parts[0].mutable_plan() = plan;
  for (int i = 1; i <= plan.shards_size() + 1; ++i) {
    ASSERT_OK_AND_ASSIGN(proto::EvaluationPart part, session->RunPart(plan, i));
    parts.push_back(std::move(part));
  }
  EXPECT_GE(parts.size(), 4);
  ASSERT_OK_AND_ASSIGN(const AttributionResult merged, MergeParts(parts));
  ASSERT_EQ(merged.modes.size(), whole.modes.size());
  for (size_t i = 0; i < whole.modes.size(); ++i) {
    EXPECT_EQ(merged.modes[i].per_row, whole.modes[i].per_row);
  }
  ASSERT_EQ(merged.probes.size(), whole.probes.size());
  ASSERT_FALSE(whole.probes.empty());
}

// A random teacher answers nothing, and so nobody else is asked: the runner by
// itself, then, in every mode.
TEST(ProbeCudaTest, AnswersHaveTheHostsLikelihoods) {
  TemporaryFolder folder;
  ASSERT_OK(WriteRandomModel(folder.File("model"), {}, 5));
  StudentConfig student;
  student.attention.window = 48;
  student.attention.sinks = 2;
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<ModelPair> pair,
                       ModelPair::Load(folder.File("model"), student));
  const RandomBatch text({150, 90, 121}, 500);
  const TokenBatch batch = text.batch();
  std::vector<ProbeSample> samples;
  for (int64_t i = 0; i < batch.sequences; ++i) {
    ProbeSample sample;
    const int32_t* const tokens = batch.tokens.As<int32_t>();
    sample.tokens.assign(tokens + batch.offsets[i],
                         tokens + batch.offsets[i + 1]);
    const auto end = static_cast<int64_t>(sample.tokens.size());
    for (int64_t begin = end - 20; begin + 2 <= end; begin += 2) {
      ProbeAnswer answer{begin, begin + 2, 5, 7, {}};
      for (int64_t t = begin; t < begin + 2; ++t) {
        answer.candidates.push_back({sample.tokens[t], 7});
      }
      sample.answers.push_back(answer);
    }
    samples.push_back(sample);
  }
  const double noise = 0x1p-8 * std::sqrt(12 * 3 / 3.0);
  for (const ComponentMode mode :
       {ComponentMode::kTeacher, ComponentMode::kTeacherSwa,
        ComponentMode::kHybrid, ComponentMode::kSwaOnly, ComponentMode::kLaOnly,
        ComponentMode::kLaPast, ComponentMode::kSinksOnly, ComponentMode::kNone,
        ComponentMode::kSoftmax}) {
    std::vector<double> nats[2];
    for (ModelSide* side : {&pair->host, &pair->gpu}) {
      ProbeRunner runner(*side->llama, side->compute.execution(), samples,
                         /*micro_batch=*/2, nullptr);
      ASSERT_OK_AND_ASSIGN(const ProbeMode scored,
                           runner.Run({.name = std::string(NameOf(mode)),
                                       .mode = mode,
                                       .sinks = student.attention.sinks}));
      nats[side == &pair->gpu] = scored.nats;
    }
    ASSERT_EQ(nats[1].size(), nats[0].size());
    double sum = 0;
    for (size_t i = 0; i < nats[0].size(); ++i) {
      sum += (nats[1][i] - nats[0][i]) * (nats[1][i] - nats[0][i]);
    }
    const double error = std::sqrt(sum / static_cast<double>(nats[0].size()));
    std::printf("  %-12s %.5f nats apart, noise %.5f\n",
                std::string(NameOf(mode)).c_str(), error, noise);
    // Of two tokens, each the difference of two numbers of logits, whose
    // standard deviation is 1.
    EXPECT_LT(error, 2 * noise) << NameOf(mode);
  }
}

}  // namespace
}  // namespace caracal
