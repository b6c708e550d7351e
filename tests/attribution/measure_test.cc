// Whole attributions against the PyTorch reference, and what is not run twice.
#include "eval/measure/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "eval/attribution/result_intervals.h"
#include "eval/attribution/result_json.h"
#include "eval/attribution/shapley.h"
#include "eval/measure/merge.h"
#include "eval/measure/pass_list.h"
#include "eval/measure/shard_runner.h"
#include "tests/attribution/golden_student.h"

namespace caracal {
namespace {

constexpr double kLossTolerance = 1e-4;
// As the reference's case "terms".
constexpr kernels::HybridAttentionConfig kAttention = {.window = 8, .sinks = 4};
constexpr int64_t kRows = 4, kTokens = 48;

MeasureOptions Options() {
  return {.rows = kRows,
          .seq_len = kTokens,
          .micro_batch = 3,
          .bootstrap_samples = 200};
}

absl::StatusOr<AttributionResult> Measure(
    GoldenStudent& student, const MeasureOptions& options = Options()) {
  return MeasureAttribution(student.llama(), student.exec(), student.data(),
                            options);
}

// The reference's losses with the keys of a subset of the players.
ModeResult Expected(const nlohmann::json& expected, int subset) {
  const int terms =
      ((subset & kSwaPlayer) ? kernels::kNearTerms | kernels::kNearSinkTerms
                             : 0) |
      ((subset & kLaPlayer) ? kernels::kLinearPastTerms : 0) |
      ((subset & kSinksPlayer) ? kernels::kFarSinkTerms : 0);
  for (const nlohmann::json& entry : expected["terms"]["subsets"]) {
    if (entry["terms"] != terms) continue;
    ModeResult mode;
    mode.per_row = entry["per_row"].get<std::vector<double>>();
    return mode;
  }
  ADD_FAILURE() << "no terms " << terms;
  return {};
}

TEST(MeasureTest, ShapleyValuesAreTheReferences) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
  std::array<ModeResult, kSubsets> losses;
  std::array<const ModeResult*, kSubsets> subsets;
  for (int s = 0; s < kSubsets; ++s) {
    losses[s] = Expected(student->expected(), s);
    subsets[s] = &losses[s];
  }
  const auto expected = ShapleyValues(subsets, true, {.resamples = 200});
  ASSERT_EQ(expected.size(), 3);
  ASSERT_EQ(result.shapley.size(), 3);
  double sum = 0;
  for (size_t i = 0; i < 3; ++i) {
    const Interval& value = result.shapley[i].value;
    EXPECT_EQ(result.shapley[i].component, expected[i].component);
    EXPECT_NEAR(value.mean, expected[i].value.mean, kLossTolerance);
    EXPECT_NEAR(value.low, expected[i].value.low, kLossTolerance);
    EXPECT_NEAR(value.high, expected[i].value.high, kLossTolerance);
    // Not all zero: the comparison says something.
    EXPECT_GT(std::abs(value.mean), 2 * kLossTolerance);
    sum += value.mean;
  }
  EXPECT_NEAR(sum, result.Find("none")->loss - result.Find("hybrid")->loss,
              1e-14);
  EXPECT_NEAR(sum, result.what_attention_brings.mean, 1e-14);
}

TEST(MeasureTest, WithoutSinksTheyHaveNoShare) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make({.window = 8}));
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
  ASSERT_EQ(result.shapley.size(), 2);
  EXPECT_NEAR(result.shapley[0].value.mean + result.shapley[1].value.mean,
              result.Find("none")->loss - result.Find("hybrid")->loss, 1e-14);
}

TEST(MeasureTest, ShapleyNeedsHybridAndNone) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.modes = {ComponentMode::kHybrid, ComponentMode::kSwaOnly};
  ASSERT_OK_AND_ASSIGN(const AttributionResult result,
                       Measure(*student, options));
  EXPECT_TRUE(result.shapley.empty());
  EXPECT_FALSE(result.what_attention_brings.measured());
}

TEST(MeasureTest, EqualRowsHaveEqualDigestsWhateverTheBatch) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.modes = {ComponentMode::kHybrid};
  options.drops = false;
  options.baseline_sinks.clear();
  const auto digest = [&] {
    absl::StatusOr<AttributionResult> result = Measure(*student, options);
    return result.ok() ? result->settings.rows_digest : "";
  };
  const std::string first = digest();
  EXPECT_EQ(first.size(), 16);
  options.micro_batch = 1;
  EXPECT_EQ(digest(), first);
  options.skip = 1;
  EXPECT_NE(digest(), first);
  options.skip = 0;
  options.rows = 3;
  EXPECT_NE(digest(), first);
}

TEST(MeasureTest, MassesByPositionAverageToThoseByHead) {
  for (const int64_t sinks : {0, 4}) {
    SCOPED_TRACE(sinks);
    ASSERT_OK_AND_ASSIGN(auto student,
                         GoldenStudent::Make({.window = 8, .sinks = sinks}));
    ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
    // 48 positions in eighths; the first 8 + S have no past.
    ASSERT_EQ(result.by_position.size(), sinks == 0 ? 7 : 6);
    double la = 0, on_sinks = 0, teacher_sinks = 0, positions = 0;
    for (const PositionMasses& bucket : result.by_position) {
      EXPECT_EQ(bucket.begin % 6, 0);
      EXPECT_EQ(bucket.end, bucket.begin + 6);
      const auto n =
          static_cast<double>(bucket.end - std::max(bucket.begin, 8 + sinks));
      la += n * bucket.la_mass;
      on_sinks += n * bucket.sink_mass;
      teacher_sinks += n * bucket.teacher_sink_mass;
      positions += n;
    }
    EXPECT_EQ(positions, kTokens - 8 - sinks);
    const AttentionMasses& masses = result.masses;
    EXPECT_NEAR(la / positions, GridMean(masses.la_mass), 1e-12);
    EXPECT_NEAR(on_sinks / positions, GridMean(masses.sink_mass), 1e-12);
    EXPECT_NEAR(teacher_sinks / positions, GridMean(masses.teacher_sink_mass),
                1e-12);
    // The past grows, and with it what lies there.
    EXPECT_GT(result.by_position.back().la_mass,
              result.by_position.front().la_mass);
  }
}

// Whose the sinks are changes nothing about how much the teacher looks at
// them. In the first layer, whose input no attention has touched; over the rows
// from position 12 on, which have a past either way.
TEST(MeasureTest, TheTeachersSinkMassIsTheSameWithAndWithoutSinks) {
  const auto first_layer = [](int64_t sinks, int64_t tokens) {
    AttentionMasses masses;
    auto student = GoldenStudent::Make({.window = 8, .sinks = sinks});
    EXPECT_OK(student.status());
    if (!student.ok()) return masses;
    MeasureOptions options = Options();
    options.seq_len = tokens;
    auto result = Measure(**student, options);
    EXPECT_OK(result.status());
    return result.ok() ? result->masses : masses;
  };
  const AttentionMasses none = first_layer(0, kTokens);
  const AttentionMasses start = first_layer(0, 12);
  const AttentionMasses four = first_layer(4, kTokens);
  for (size_t h = 0; h < four.la_mass[0].size(); ++h) {
    const auto later = [&](const HeadGrid& all, const HeadGrid& early) {
      return ((kTokens - 8) * all[0][h] - 4 * early[0][h]) / (kTokens - 12);
    };
    const double on_sinks = four.teacher_sink_mass[0][h];
    EXPECT_GT(on_sinks, 0.01);
    EXPECT_NEAR(later(none.teacher_sink_mass, start.teacher_sink_mass),
                on_sinks, 1e-6);
    EXPECT_NEAR(later(none.teacher_out_mass, start.teacher_out_mass),
                four.teacher_out_mass[0][h] + on_sinks, 1e-6);
    // All of the linear part's mass is on sink positions until there is more.
    EXPECT_NEAR(start.sink_mass[0][h], start.la_mass[0][h], 1e-6);
    EXPECT_LT(none.sink_mass[0][h], none.la_mass[0][h]);
    const KeyClasses classes =
        SplitByKey(four.la_mass[0][h], four.sink_mass[0][h], 4);
    EXPECT_NEAR(classes.window + classes.sinks + classes.past, 1, 1e-12);
    EXPECT_GT(classes.window, 0);
  }
}

TEST(MeasureTest, GammaIsWhatTheModelHas) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  const Parameter& factors = student->llama().adapters().window_factor(1);
  factors.value.f32()[2] = 0;
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*student));
  ASSERT_EQ(result.gamma.size(), student->llama().layers());
  EXPECT_EQ(result.gamma[1][2], 0.5);
  EXPECT_GT(result.gamma[0][0], 0);
  EXPECT_LT(result.gamma[0][0], 0.5);
}

TEST(MeasureTest, AblatingEveryLayerIsRemovingTheLinearPart) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.ablate = Ablate::kLayers;
  ASSERT_OK_AND_ASSIGN(const AttributionResult layers,
                       Measure(*student, options));
  ASSERT_EQ(layers.ablation.size(), student->llama().layers());
  for (const LinearAblation& ablation : layers.ablation) {
    EXPECT_EQ(ablation.head, -1);
    EXPECT_NE(ablation.cost.mean, 0);
    EXPECT_LT(std::abs(ablation.cost.mean),
              10 * std::abs(layers.what_la_brings.mean) + 0.1);
  }
  options.ablate = Ablate::kHeads;
  options.modes = {ComponentMode::kHybrid};
  ASSERT_OK_AND_ASSIGN(const AttributionResult heads,
                       Measure(*student, options));
  ASSERT_EQ(heads.ablation.size(),
            student->llama().layers() * student->llama().heads());
  EXPECT_EQ(heads.ablation[1].layer, 0);
  EXPECT_EQ(heads.ablation[1].head, 1);
  EXPECT_NE(heads.ablation[1].cost.mean, heads.ablation[0].cost.mean);
}

TEST(MeasureTest, OneLayersAblationIsAHybridWithThatLayerInSwaOnly) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  MeasureOptions options = Options();
  options.ablate = Ablate::kLayers;
  ASSERT_OK_AND_ASSIGN(const AttributionResult result,
                       Measure(*student, options));
  BatchBuffer buffer(kRows, kTokens);
  ASSERT_OK(buffer.Fill(student->data(), kRows, [](int64_t r) { return r; }));
  const TokenBatch batch = buffer.Rows(0, kRows);
  ModePlan plan;
  student->llama().Plan(batch, ComponentMode::kHybrid, &plan);
  plan.SetLayer(1, ComponentMode::kSwaOnly);
  std::vector<float> nll(kRows * kTokens);
  student->exec().arena->Reset();
  student->llama().Evaluate(student->exec(), batch, plan,
                            TensorView(nll.data(), {kRows * kTokens}),
                            TensorView(), nullptr);
  double sum = 0;
  for (const float loss : nll) sum += loss;
  EXPECT_NEAR(result.ablation[1].cost.mean,
              sum / (kRows * kTokens) - result.Find("hybrid")->loss, 1e-6);
}

TEST(MeasureTest, SinksInsteadAreMeasuredWhereThereAreNone) {
  ASSERT_OK_AND_ASSIGN(auto without, GoldenStudent::Make({.window = 8}));
  ASSERT_OK_AND_ASSIGN(const AttributionResult result, Measure(*without));
  ASSERT_NE(result.Find("swa_only_s4"), nullptr);
  EXPECT_NE(result.Find("swa_only_s4")->loss, result.Find("swa_only")->loss);
  ASSERT_OK_AND_ASSIGN(auto with, GoldenStudent::Make(kAttention));
  ASSERT_OK_AND_ASSIGN(const AttributionResult four, Measure(*with));
  EXPECT_EQ(four.Find("swa_only_s4"), nullptr);
  // The same student, seen with the same sinks.
  EXPECT_NEAR(result.Find("swa_only_s4")->loss, four.Find("swa_only")->loss,
              1e-12);
}

// Rows that a pass itself has to run.
int64_t RowsOf(const proto::MeasurementPlan& plan, int pass) {
  return static_cast<int64_t>(RowsToRun(plan, pass, 0, plan.rows()).size());
}
// The number of the first pass of this role and name.
int Find(const proto::MeasurementPlan& plan, PassRole role,
         const std::string& name) {
  for (int p = 0; p < plan.passes_size(); ++p) {
    if (plan.passes(p).role() == role && plan.passes(p).name() == name) {
      return p;
    }
  }
  ADD_FAILURE() << "no pass " << name;
  return 0;
}
using Role = proto::MeasurementPass;

TEST(PlanTest, RunsNothingTwice) {
  ASSERT_OK_AND_ASSIGN(auto student, GoldenStudent::Make(kAttention));
  ASSERT_OK_AND_ASSIGN(
      const proto::MeasurementPlan plan,
      PlanMeasurement(student->llama(), student->data(), Options()));
  ASSERT_OK(CheckPlan(plan));
  EXPECT_EQ(RowsOf(plan, Find(plan, Role::MODE, "hybrid")), kRows);
  EXPECT_EQ(RowsOf(plan, Find(plan, Role::MODE, "swa_only")), kRows);
  // The student's own sinks, which teacher_swa has, too.
  EXPECT_EQ(RowsOf(plan, Find(plan, Role::BASELINE, "teacher_swa_s4")), 0);
  EXPECT_EQ(RowsOf(plan, Find(plan, Role::BASELINE, "teacher_swa_s0")), kRows);
  // Of the eight subsets, those that are modes or drops are not run: two are
  // neither, the window alone, and sinks left of it alone.
  const int first = Find(plan, Role::SUBSET, "");
  int64_t rows = 0;
  for (int s = 0; s < kSubsets; ++s) rows += RowsOf(plan, first + s);
  EXPECT_EQ(rows, 2 * kRows);
  ShardRunner runner(student->llama(), student->exec(), student->data(), plan,
                     nullptr);
  for (const proto::MeasurementShard& shard : CutPlan(plan, kRows)) {
    ASSERT_OK(runner.Run(shard).status());
  }
  int64_t all = 0;
  for (int p = 0; p < plan.passes_size(); ++p) all += RowsOf(plan, p);
  EXPECT_EQ(runner.rows_run(), all);
}

// Documents of a row don't see each other; none of rows 1 and 3 is longer than
// window and sinks, so that their linear part has no keys.
TEST(PlanTest, RowsWithoutAPastAreRunOnce) {
  ASSERT_OK_AND_ASSIGN(auto student,
                       GoldenStudent::Make(kAttention, {48, 12, 30, 5}));
  MeasureOptions options = Options();
  options.reset_at_document = true;
  options.modes = {ComponentMode::kHybrid, ComponentMode::kSwaOnly,
                   ComponentMode::kLaPast, ComponentMode::kNone};
  options.baseline_sinks.clear();
  ASSERT_OK_AND_ASSIGN(
      const proto::MeasurementPlan plan,
      PlanMeasurement(student->llama(), student->data(), options));
  ASSERT_OK_AND_ASSIGN(const AttributionResult together,
                       Measure(*student, options));
  for (const auto& [mode, rows] :
       {std::pair(ComponentMode::kHybrid, kRows),
        {ComponentMode::kSwaOnly, 2},
        {ComponentMode::kLaPast, 4},
        // As la_past where there is no past that is no sink: not one row.
        {ComponentMode::kNone, 2}}) {
    const std::string name(NameOf(mode));
    SCOPED_TRACE(name);
    EXPECT_EQ(RowsOf(plan, Find(plan, Role::MODE, name)), rows);
    // What was not run is what it would have been.
    options.modes = {mode};
    ASSERT_OK_AND_ASSIGN(const AttributionResult alone,
                         Measure(*student, options));
    const ModeResult& result = *together.Find(name);
    ASSERT_EQ(result.per_row.size(), kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      EXPECT_NEAR(result.per_row[r], alone.Find(name)->per_row[r], 1e-6) << r;
    }
  }
}

// Every figure that there is, of rows that are not all alike.
class PartsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(student_,
                         GoldenStudent::Make(kAttention, {48, 12, 30, 5}));
    options_.micro_batch = 1;
    options_.reset_at_document = true;
    options_.ablate = Ablate::kLayers;
    ASSERT_OK_AND_ASSIGN(const ModeOverride at,
                         ParseModeOverride("layers=1:heads=0:none"));
    options_.mode_at = {at};
    ASSERT_OK_AND_ASSIGN(
        plan_, PlanMeasurement(student_->llama(), student_->data(), options_));
  }

  // Parts of so many rows, each by a process of its own, in a random order.
  std::vector<proto::MeasurementPartial> Parts(int64_t rows, uint64_t seed) {
    std::vector<proto::MeasurementShard> shards = CutPlan(plan_, rows);
    std::mt19937_64 random(seed);
    std::shuffle(shards.begin(), shards.end(), random);
    std::vector<proto::MeasurementPartial> parts;
    for (const proto::MeasurementShard& shard : shards) {
      // As it comes over the wire.
      proto::MeasurementPlan plan;
      EXPECT_TRUE(plan.ParseFromString(plan_.SerializeAsString()));
      ShardRunner runner(student_->llama(), student_->exec(), student_->data(),
                         plan, nullptr);
      auto part = runner.Run(shard);
      EXPECT_OK(part.status());
      if (!part.ok()) continue;
      EXPECT_OK(CheckPartial(plan_, shard, *part));
      EXPECT_TRUE(
          parts.emplace_back().ParseFromString(part->SerializeAsString()));
    }
    return parts;
  }

  MeasureOptions options_ = Options();
  std::unique_ptr<GoldenStudent> student_;
  proto::MeasurementPlan plan_;
};

TEST_F(PartsTest, MergedTheyHaveTheSameBitsHoweverTheyAreCut) {
  ASSERT_OK_AND_ASSIGN(const AttributionResult local,
                       Measure(*student_, options_));
  // Doubles are written so that they are read back as they were.
  const std::string expected = AttributionToJson(local);
  EXPECT_EQ(local.ablation.size(), student_->llama().layers());
  EXPECT_FALSE(local.by_position.empty());
  EXPECT_FALSE(local.shapley.empty());
  for (const int64_t rows : {1, 2, 3, 4}) {
    for (const uint64_t seed : {1, 2}) {
      SCOPED_TRACE(rows);
      ASSERT_OK_AND_ASSIGN(const AttributionResult merged,
                           MergeMeasurement(plan_, Parts(rows, seed)));
      EXPECT_EQ(AttributionToJson(merged), expected);
    }
  }
  // Another cut of every pass.
  auto parts = Parts(1, 3);
  auto others = Parts(3, 4);
  std::vector<proto::MeasurementPartial> mixed;
  for (const auto& part : parts) {
    if (part.shard().pass() % 2 == 0) mixed.push_back(part);
  }
  for (const auto& part : others) {
    if (part.shard().pass() % 2 == 1) mixed.push_back(part);
  }
  ASSERT_OK_AND_ASSIGN(const AttributionResult merged,
                       MergeMeasurement(plan_, mixed));
  EXPECT_EQ(AttributionToJson(merged), expected);
}

TEST_F(PartsTest, EachRowIsThereOnce) {
  auto parts = Parts(2, 1);
  const proto::MeasurementPartial last = parts.back();
  parts.push_back(last);
  EXPECT_THAT(MergeMeasurement(plan_, parts).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("is there twice")));
  parts.resize(parts.size() - 2);
  EXPECT_THAT(MergeMeasurement(plan_, parts).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("is missing")));
}

TEST_F(PartsTest, WhatDoesNotFitThePlanIsRefused) {
  const std::vector<proto::MeasurementShard> shards = CutPlan(plan_, 2);
  ShardRunner runner(student_->llama(), student_->exec(), student_->data(),
                     plan_, nullptr);
  ASSERT_OK_AND_ASSIGN(const proto::MeasurementPartial good,
                       runner.Run(shards[0]));
  ASSERT_OK(CheckPartial(plan_, shards[0], good));
  const auto refused = [&](const proto::MeasurementPartial& part) {
    return absl::IsInvalidArgument(CheckPartial(plan_, shards[0], part));
  };
  EXPECT_TRUE(absl::IsInvalidArgument(CheckPartial(plan_, shards[1], good)));
  proto::MeasurementPartial part = good;
  part.mutable_sum()->RemoveLast();
  EXPECT_TRUE(refused(part));
  part = good;
  part.add_masses();
  EXPECT_TRUE(refused(part));
  proto::MeasurementShard shard = shards[0];
  shard.set_pass(plan_.passes_size());
  EXPECT_TRUE(absl::IsInvalidArgument(runner.Run(shard).status()));
  shard = shards[0];
  shard.set_end(kRows + 1);
  EXPECT_TRUE(absl::IsInvalidArgument(runner.Run(shard).status()));

  const auto bad_plan = [&](auto change) {
    proto::MeasurementPlan plan = plan_;
    change(plan);
    return absl::IsInvalidArgument(CheckPlan(plan));
  };
  EXPECT_TRUE(bad_plan([](auto& p) { p.set_micro_batch(0); }));
  EXPECT_TRUE(bad_plan([](auto& p) { p.set_rows(kRows + 1); }));
  EXPECT_TRUE(bad_plan([](auto& p) { p.set_class_of_row(0, 99); }));
  EXPECT_TRUE(bad_plan([](auto& p) {
    p.set_rows(int64_t{1} << 40);
    p.clear_class_of_row();
    p.set_classes(1);
    for (auto& pass : *p.mutable_passes()) {
      pass.mutable_same_as()->Truncate(1);
    }
  }));
  EXPECT_TRUE(bad_plan([](auto& p) { p.mutable_gamma()->RemoveLast(); }));
  EXPECT_TRUE(bad_plan([](auto& p) {
    p.mutable_passes(1)->set_same_as(0, p.passes_size() - 1);
  }));
  EXPECT_FALSE(bad_plan([](auto&) {}));
}

TEST_F(PartsTest, AStoppedOneGivesNothing) {
  const std::atomic<bool> stop{true};
  ShardRunner runner(student_->llama(), student_->exec(), student_->data(),
                     plan_, &stop);
  EXPECT_TRUE(absl::IsCancelled(runner.Run(CutPlan(plan_, 2)[0]).status()));
  EXPECT_EQ(runner.rows_run(), 0);
}

}  // namespace
}  // namespace caracal
