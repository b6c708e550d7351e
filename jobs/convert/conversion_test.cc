// Whole conversions of a tiny model: what may go wrong around training, and
// that a folder can always be gone on with afterwards.
#include "jobs/convert/conversion.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"
#include "jobs/client/testing/tiny_model.h"
#include "jobs/convert/run_folder.h"
#include "jobs/model/compute.h"
#include "jobs/model/loaded_model.h"
#include "jobs/spec/expand.h"
#include "jobs/train/train_state.h"

namespace caracal {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ConversionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteTinyModel(folder_.File("model")));
    ASSERT_OK(WriteTinyData(folder_.File("train.h5"), 10, 48));
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(preset: "lolcats"
           attention { window: 8 sinks: 2 features: 32 }
           budget { transfer_steps: 2 finetune_steps: 2 batch: 2 }
           checkpoint { every_steps: 1 keep_last: 9 }
           evaluation { rows: 4 }
           threads: 2)",
        &job_));
    job_.mutable_model()->set_path(folder_.File("model"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
  }

  absl::StatusOr<ReportInput> Run(bool resume = false) {
    ConversionOptions options;
    options.job = ExpandJob(job_);
    options.run_folder = run_.path;
    options.resume = resume;
    options.stop = &stop_;
    options.by_command = by_command_;
    options.events = events_;
    notes_.clear();
    options.events.note = [this](const std::string& n) { notes_.push_back(n); };
    return RunConversion(options);
  }

  std::string Metrics() {
    return FileSystem::Posix()->ReadFile(run_.metrics()).value_or("");
  }

  // Adds bytes to the file of a checkpoint.
  void Damage(uint64_t step) {
    ASSERT_OK(files_->Append(
        CheckpointFolder(run_.path, step) + "/rank-00000.h5", "more"));
  }

  FileSystem* files_ = FileSystem::Posix();
  TemporaryFolder folder_;
  RunFolder run_{folder_.File("run")};
  proto::Job job_;
  ConversionEvents events_;
  std::vector<std::string> notes_;
  std::atomic<bool> stop_{false};
  bool by_command_ = true;
};

TEST_F(ConversionTest, StoppedWhileLoadingLeavesNothingInTheWay) {
  stop_ = true;
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled,
                              AllOf(HasSubstr("stopped while loading"),
                                    HasSubstr("the same command again"))));
  // Of a coordinator's gang nobody gave one.
  by_command_ = false;
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled,
                              "stopped while loading; nothing was trained"));
  EXPECT_FALSE(files_->Exists(run_.job()));
  EXPECT_FALSE(files_->Exists(run_.metrics()));
  stop_ = false;
  EXPECT_OK(Run());
}

TEST_F(ConversionTest, StoppedWhileMeasuringKeepsTheModelAndResumes) {
  int passes = 0;
  events_.measured = [&](const std::string&, int, int) {
    ++passes;
    stop_ = true;
  };
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled,
                              AllOf(HasSubstr("stopped while measuring"),
                                    HasSubstr(run_.checkpoints()),
                                    HasSubstr("--resume"))));
  EXPECT_EQ(passes, 1);
  EXPECT_FALSE(files_->Exists(run_.attribution()));
  EXPECT_FALSE(files_->Exists(run_.report()));
  const std::string before = Metrics();
  EXPECT_THAT(before, HasSubstr("\"global_step\":4"));

  events_.measured = nullptr;
  stop_ = false;
  ASSERT_OK_AND_ASSIGN(const ReportInput report, Run(/*resume=*/true));
  EXPECT_EQ(report.attribution.settings.recipe, "lolcats");
  EXPECT_EQ(report.attribution.settings.finished_as, "hybrid");
  EXPECT_EQ(Metrics(), before);
  EXPECT_TRUE(files_->Exists(run_.report()));
}

TEST_F(ConversionTest, StoppedWithTheLastPassWritesNoReport) {
  events_.measured = [&](const std::string&, int done, int total) {
    stop_ = done == total;
  };
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled,
                              HasSubstr("stopped while measuring")));
  EXPECT_FALSE(files_->Exists(run_.attribution()));
}

TEST_F(ConversionTest, AFailedStartDoesNotBlockTheNext) {
  job_.mutable_data()->set_seq_len(4096);
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInvalidArgument,
                              HasSubstr("4096 were asked for")));
  EXPECT_FALSE(files_->Exists(run_.job()));
  job_.mutable_data()->clear_seq_len();
  EXPECT_OK(Run());
  EXPECT_THAT(
      Run(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("--resume")));
}

TEST_F(ConversionTest, ResumeNeedsARun) {
  EXPECT_THAT(Run(/*resume=*/true),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("holds no run to go on with")));
  EXPECT_FALSE(files_->Exists(run_.path));
}

TEST_F(ConversionTest, ResumeBeforeTheFirstCheckpointSaysThatItStarts) {
  job_.mutable_checkpoint()->set_every_steps(0);
  stop_ = false;
  ASSERT_OK(Run());
  ASSERT_OK_AND_ASSIGN(const std::vector<uint64_t> steps,
                       ListCheckpoints(files_, run_.path));
  for (const uint64_t step : steps) {
    const std::string folder = CheckpointFolder(run_.path, step);
    ASSERT_OK(files_->Remove(folder + "/manifest.json"));
  }
  ASSERT_OK(Run(/*resume=*/true));
  EXPECT_THAT(notes_, Contains(HasSubstr("no checkpoint is in ")));
}

TEST_F(ConversionTest, OutMustNotBeAFile) {
  ASSERT_OK(files_->WriteFileAtomically(run_.path, "notes"));
  for (const bool resume : {false, true}) {
    EXPECT_THAT(Run(resume), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("run: is a file")));
  }
}

TEST_F(ConversionTest, StagesMayHaveNoSteps) {
  const struct { int transfer, finetune; } kCases[] = {{0, 2}, {2, 0}, {0, 0}};
  for (const auto& c : kCases) {
    SCOPED_TRACE(absl::StrCat(c.transfer, " and ", c.finetune, " steps"));
    run_.path = folder_.File(absl::StrCat("run-", c.transfer, "-", c.finetune));
    job_.mutable_budget()->set_transfer_steps(c.transfer);
    job_.mutable_budget()->set_finetune_steps(c.finetune);
    ASSERT_OK(Run());
    const std::string metrics = Metrics();
    EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'),
              c.transfer + c.finetune);
    EXPECT_TRUE(files_->Exists(run_.report()));
    Compute compute(2);
    LoadRequest request;
    request.path = run_.path;
    ASSERT_OK_AND_ASSIGN(const LoadedModel model,
                         LoadModel(&compute, request));
    EXPECT_EQ(model.adapters->lora_active, c.finetune > 0);
    ASSERT_OK(Run(/*resume=*/true));
    EXPECT_EQ(Metrics(), metrics);
  }
}

// It would be gone until it is whole again.
TEST_F(ConversionTest, AFinishedCheckpointIsNotWrittenAgain) {
  job_.mutable_budget()->set_finetune_steps(0);
  job_.mutable_checkpoint()->set_every_steps(0);
  ASSERT_OK(Run());
  const std::string path = CheckpointFolder(run_.path, 2) + "/manifest.json";
  const auto written = std::filesystem::last_write_time(path);
  // One save for both stages, as a second one of this step is not made.
  ASSERT_OK_AND_ASSIGN(
      const CheckpointReader reader,
      CheckpointReader::Open(files_, CheckpointFolder(run_.path, 2)));
  ASSERT_OK_AND_ASSIGN(const std::string text, reader.String("train_state"));
  ASSERT_OK_AND_ASSIGN(TrainState state, TrainStateFromJson(text));
  EXPECT_EQ(state.stage_index, 2);

  const std::string metrics = Metrics();
  ASSERT_OK(Run(/*resume=*/true));
  EXPECT_EQ(Metrics(), metrics);
  EXPECT_EQ(std::filesystem::last_write_time(path), written);
  EXPECT_TRUE(files_->Exists(run_.report()));
}

TEST_F(ConversionTest, DamagedCheckpointsArePassedOverAloud) {
  ASSERT_OK(Run());
  Damage(4);
  Compute compute(2);
  LoadRequest request;
  request.path = run_.path;
  ASSERT_OK_AND_ASSIGN(const LoadedModel model,
                       LoadModel(&compute, request));
  EXPECT_EQ(model.checkpoint, CheckpointFolder(run_.path, 3));
  EXPECT_THAT(model.warnings, Contains(HasSubstr("checkpoint-00000004")));
  ASSERT_OK(Run(/*resume=*/true));
  EXPECT_THAT(notes_, Contains(HasSubstr("checkpoint-00000004")));
  EXPECT_THAT(notes_, Contains(HasSubstr("going on after step 3")));
}

TEST_F(ConversionTest, WithoutAWholeCheckpointNothingStartsOver) {
  ASSERT_OK(Run());
  const std::string before = Metrics();
  for (const uint64_t step : {1, 2, 3, 4}) Damage(step);
  EXPECT_THAT(Run(/*resume=*/true),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("no checkpoint of this run is whole"),
                             HasSubstr("checkpoint-00000004"))));
  EXPECT_EQ(Metrics(), before);
  Compute compute(2);
  LoadRequest request;
  request.path = run_.path;
  EXPECT_THAT(LoadModel(&compute, request),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("has no whole checkpoint")));
}

TEST_F(ConversionTest, AnotherModelIsNamedWithBothFingerprints) {
  ASSERT_OK(Run());
  const std::string weights = folder_.File("model/model.safetensors");
  ASSERT_OK_AND_ASSIGN(std::string bytes, files_->ReadFile(weights));
  bytes[bytes.size() - 2] ^= 1;
  ASSERT_OK(files_->WriteFileAtomically(weights, bytes));
  EXPECT_THAT(
      Run(/*resume=*/true),
      StatusIs(
          absl::StatusCode::kFailedPrecondition,
          AllOf(HasSubstr("checkpoint-00000004"),
                HasSubstr("with fingerprint "), HasSubstr(", expected "),
                HasSubstr(absl::StrCat(", that of ", folder_.File("model"))))));
}

// Stops early, two steps after its best one.
class EarlyStopTest : public ConversionTest {
 protected:
  void SetUp() override {
    ConversionTest::SetUp();
    WriteWeights();
    WriteTokens();
    job_.Clear();
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(stages { transfer { steps: 30 lr: 1 early_stop { patience: 2 }
                               schedule { constant {} } } }
           attention { window: 8 sinks: 2 features: 32 }
           budget { batch: 2 }
           validation { every_steps: 1 }
           checkpoint { every_steps: 1 keep_last: 9 }
           evaluation { rows: 4 }
           threads: 2)",
        &job_));
    job_.mutable_model()->set_path(folder_.File("model"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
    job_.mutable_data()->set_validation(folder_.File("train.h5"));
  }

  // Of zeros alone nothing is learned.
  void WriteWeights() {
    const std::string path = folder_.File("model/model.safetensors");
    ASSERT_OK_AND_ASSIGN(std::string bytes, files_->ReadFile(path));
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof(header));
    for (size_t at = 8 + header; at + 4 <= bytes.size(); at += 4) {
      const float value = 0.3f * std::sin(0.7f * (at % 10007));
      std::memcpy(bytes.data() + at, &value, sizeof(value));
    }
    ASSERT_OK(files_->WriteFileAtomically(path, bytes));
  }
  void WriteTokens() {
    std::vector<int32_t> tokens(10 * 49);
    for (size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = 3 + (i * i + i / 7) % 29;
    }
    ASSERT_OK_AND_ASSIGN(hdf5::File file,
                         hdf5::File::Create(folder_.File("train.h5")));
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {10, 49}, tokens));
    ASSERT_OK(file.Close());
  }
  // The run as a kill left it when the checkpoint of `step` was the newest.
  void CutAfter(uint64_t step) {
    ASSERT_OK_AND_ASSIGN(const std::vector<uint64_t> steps,
                         ListCheckpoints(files_, run_.path));
    for (const uint64_t s : steps) {
      if (s <= step) continue;
      std::filesystem::remove_all(CheckpointFolder(run_.path, s));
    }
  }
  // Of the run's newest checkpoint, layer by layer.
  std::vector<float> Parameters() {
    Compute compute(2);
    LoadRequest request;
    request.path = run_.path;
    const absl::StatusOr<LoadedModel> model =
        LoadModel(&compute, request);
    if (!model.ok()) return {};
    std::vector<float> all;
    for (const Parameter& p : model->adapters->parameters().parameters()) {
      int64_t n = 1;
      for (int d = 0; d < p.value.rank; ++d) n *= p.value.shape[d];
      const float* const data = static_cast<const float*>(p.value.data);
      all.insert(all.end(), data, data + n);
    }
    return all;
  }
};

TEST_F(EarlyStopTest, AKillBeforeTheBestIsMarkedLosesNothing) {
  ASSERT_OK(Run());
  ASSERT_OK_AND_ASSIGN(const auto best, ReadBestCheckpoint(files_, run_.path));
  ASSERT_TRUE(best.has_value());
  ASSERT_GT(best->step, 1) << "choose another learning rate";
  ASSERT_OK_AND_ASSIGN(const std::vector<uint64_t> steps,
                       ListCheckpoints(files_, run_.path));
  const uint64_t last = steps.back();
  ASSERT_EQ(last, best->step + 2);
  const std::vector<float> parameters = Parameters();
  ASSERT_FALSE(parameters.empty());

  CutAfter(best->step);
  ASSERT_OK(MarkBestCheckpoint(files_, run_.path, {best->step - 1, 1e9}));
  job_.mutable_checkpoint()->set_keep_last(1);
  ASSERT_OK(Run(/*resume=*/true));
  ASSERT_OK_AND_ASSIGN(const auto marked,
                       ReadBestCheckpoint(files_, run_.path));
  ASSERT_TRUE(marked.has_value());
  EXPECT_EQ(marked->step, best->step);
  EXPECT_EQ(marked->score, best->score);
  EXPECT_EQ(Parameters(), parameters);
}

TEST_F(EarlyStopTest, ADamagedMarkOfTheBestIsMadeAgain) {
  ASSERT_OK(Run());
  ASSERT_OK_AND_ASSIGN(const auto best, ReadBestCheckpoint(files_, run_.path));
  ASSERT_TRUE(best.has_value());
  const std::vector<float> parameters = Parameters();
  const std::string path = run_.checkpoints() + "/best.json";
  // Resumed for its report alone: nothing says which one was the best.
  ASSERT_OK(files_->WriteFileAtomically(path, "{"));
  job_.mutable_checkpoint()->set_keep_last(1);
  ASSERT_OK(Run(/*resume=*/true));
  EXPECT_THAT(notes_, Contains(AllOf(HasSubstr("best.json: is damaged"),
                                     HasSubstr("no checkpoint is removed"))));
  EXPECT_TRUE(files_->Exists(CheckpointFolder(run_.path, best->step)));

  CutAfter(best->step + 1);
  ASSERT_OK(Run(/*resume=*/true));
  EXPECT_THAT(notes_, Contains(AllOf(HasSubstr("best.json: is damaged"),
                                     HasSubstr("made again for step"))));
  ASSERT_OK_AND_ASSIGN(const auto marked,
                       ReadBestCheckpoint(files_, run_.path));
  ASSERT_TRUE(marked.has_value());
  EXPECT_EQ(marked->step, best->step);
  EXPECT_EQ(Parameters(), parameters);
}

// Files may move, but not change; the error names the file.
TEST_F(ConversionTest, ARunGoesOnWithTheDataThatItBeganWith) {
  const std::string held_out = folder_.File("held_out.h5");
  ASSERT_OK(WriteTinyData(held_out, 6, 48));
  job_.mutable_data()->set_validation(held_out);
  ASSERT_OK(Run());
  const std::string metrics = Metrics();
  const auto refused = [&](const std::string& start, const std::string& words) {
    EXPECT_THAT(Run(/*resume=*/true),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(StartsWith(start), HasSubstr(words),
                               HasSubstr("start a new run"))));
    EXPECT_EQ(Metrics(), metrics);
  };

  const std::string moved = folder_.File("moved.h5");
  std::filesystem::rename(folder_.File("train.h5"), moved);
  job_.mutable_data()->set_path(moved);
  ASSERT_OK(Run(/*resume=*/true));

  ASSERT_OK_AND_ASSIGN(const std::string old, files_->ReadFile(moved));
  ASSERT_OK(WriteTinyData(moved, 11, 48));
  refused(moved, "is not the data.path that this run began with");
  ASSERT_OK(files_->WriteFileAtomically(moved, old));

  ASSERT_OK(WriteTinyData(held_out, 7, 48));
  refused(held_out, "is not the data.validation that this run began with");
  job_.mutable_data()->clear_validation();
  refused("data.validation", "is not set");

  ASSERT_OK(WriteTinyData(held_out, 6, 48));
  job_.mutable_data()->set_validation(held_out);
  ASSERT_OK(Run(/*resume=*/true));
}

TEST_F(ConversionTest, ValidationIsNotAddedToARun) {
  ASSERT_OK(Run());
  job_.mutable_data()->set_validation(folder_.File("train.h5"));
  EXPECT_THAT(Run(/*resume=*/true),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("this run began without data.validation")));
}

TEST_F(ConversionTest, CheckpointsThatDoNotNameTheirDataGoOnWithAny) {
  ASSERT_OK(Run());
  const std::string folder = CheckpointFolder(run_.path, 4);
  ASSERT_OK_AND_ASSIGN(Manifest manifest, ReadManifest(files_, folder));
  EXPECT_EQ(manifest.data_fingerprint.size(), 32u);
  manifest.data_fingerprint.clear();
  ASSERT_OK(files_->WriteFileAtomically(folder + "/manifest.json",
                                        FormatManifest(manifest)));
  ASSERT_OK(WriteTinyData(folder_.File("train.h5"), 11, 48));
  ASSERT_OK(Run(/*resume=*/true));
}

TEST_F(ConversionTest, WarnsOfWhatIsProbablyNotMeant) {
  job_.mutable_attention()->set_window(46);
  job_.mutable_budget()->set_transfer_steps(0);
  job_.mutable_budget()->set_finetune_steps(0);
  ASSERT_OK(Run());
  EXPECT_THAT(notes_, Contains(HasSubstr("warning: attention.window: is 46")));
  run_.path = folder_.File("good");
  job_.mutable_attention()->set_window(45);
  ASSERT_OK(Run());
  EXPECT_THAT(notes_, Not(Contains(HasSubstr("attention.window"))));
}

TEST_F(ConversionTest, ACheckpointIsRefusedWithTheRunToGive) {
  ASSERT_OK(Run());
  Compute compute(2);
  LoadRequest request;
  for (const std::string& path :
       {CheckpointFolder(run_.path, 4), CheckpointFolder(run_.path, 4) + "/",
        run_.checkpoints()}) {
    request.path = path;
    EXPECT_THAT(LoadModel(&compute, request),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(absl::StrCat("give the folder of its run, ",
                                                run_.path))))
        << path;
  }
}

TEST_F(ConversionTest, BaselineSinksAreMeasuredInRisingOrder) {
  job_.mutable_budget()->set_transfer_steps(0);
  job_.mutable_budget()->set_finetune_steps(0);
  for (const int sinks : {4, 0, 4}) {
    job_.mutable_evaluation()->add_baseline_sinks(sinks);
  }
  ASSERT_OK_AND_ASSIGN(const ReportInput report, Run());
  ASSERT_EQ(report.attribution.baselines.size(), 3u);
  EXPECT_EQ(report.attribution.baselines[0].mode, "teacher_swa_s0");
  EXPECT_EQ(report.attribution.baselines[1].mode, "teacher_swa_s4");
  // With 2 sinks of its own, the student is also tried with 4.
  EXPECT_EQ(report.attribution.baselines[2].mode, "swa_only_s4");
}

TEST_F(ConversionTest, AModeAskedForTwiceIsMeasuredOnce) {
  for (const auto mode : {proto::HYBRID, proto::TEACHER, proto::HYBRID}) {
    job_.mutable_evaluation()->add_modes(mode);
  }
  ASSERT_OK_AND_ASSIGN(const ReportInput report, Run());
  EXPECT_EQ(report.attribution.modes.size(), 2u);
  EXPECT_EQ(static_cast<int64_t>(report.attribution.masses.la_mass.size()),
            report.attribution.settings.layers);
}

TEST_F(ConversionTest, ValidationsMeasureTheLinearPartAsTheReportDoes) {
  job_.mutable_data()->set_validation(folder_.File("train.h5"));
  job_.mutable_validation()->set_rows(4);
  std::vector<int64_t> begins;
  std::vector<std::vector<double>> measured;
  events_.training = [&](int64_t taken) { begins.push_back(taken); };
  events_.step = [&](const StepRecord& record) {
    if (!record.la_mass.empty()) measured.push_back(record.la_mass);
  };
  ASSERT_OK_AND_ASSIGN(const ReportInput report, Run());
  EXPECT_EQ(begins, std::vector<int64_t>{0});
  ASSERT_EQ(measured.size(), 2);  // at the end of each stage
  const HeadGrid& masses = report.attribution.masses.la_mass;
  ASSERT_EQ(measured.back().size(), masses.size());
  for (size_t layer = 0; layer < masses.size(); ++layer) {
    double sum = 0;
    for (const double mass : masses[layer]) sum += mass;
    EXPECT_NEAR(measured.back()[layer],
                sum / static_cast<double>(masses[layer].size()), 1e-12);
    EXPECT_GT(measured.back()[layer], 0);
    EXPECT_LT(measured.back()[layer], 1);
  }
  EXPECT_THAT(Metrics(), HasSubstr("\"la_mass\":["));
}

// No hybrid, nothing to compare with it.
TEST_F(ConversionTest, OnlyWhatWasAskedForIsMeasured) {
  job_.mutable_evaluation()->add_modes(proto::TEACHER);
  std::vector<std::string> passes;
  events_.measured = [&](const std::string& pass, int, int) {
    passes.push_back(pass);
  };
  ASSERT_OK(Run());
  EXPECT_EQ(passes, std::vector<std::string>{"teacher"});
}

TEST_F(ConversionTest, DataWithoutAScoredTargetIsRefused) {
  const std::string masked = folder_.File("masked.h5");
  std::vector<int32_t> tokens(4 * 49, 5);
  std::vector<uint8_t> mask(4 * 49, 0);
  {
    ASSERT_OK_AND_ASSIGN(hdf5::File file, hdf5::File::Create(masked));
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {4, 49}, tokens));
    ASSERT_OK(file.Write<uint8_t>(kLossMaskDataset, {4, 49}, mask));
    ASSERT_OK(file.Close());
  }
  job_.mutable_data()->set_path(masked);
  EXPECT_THAT(Run(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("masked.h5"), HasSubstr("loss_mask"))));

  // The rows that are validated and reported are the first of theirs.
  const std::string late = folder_.File("late.h5");
  mask.back() = 1;
  {
    ASSERT_OK_AND_ASSIGN(hdf5::File file, hdf5::File::Create(late));
    ASSERT_OK(file.Write<int32_t>(kTokensDataset, {4, 49}, tokens));
    ASSERT_OK(file.Write<uint8_t>(kLossMaskDataset, {4, 49}, mask));
    ASSERT_OK(file.Close());
  }
  job_.mutable_data()->set_path(folder_.File("train.h5"));
  job_.mutable_data()->set_validation(late);
  for (const auto& [validated, reported] : {std::pair(3, 4), {4, 3}}) {
    job_.mutable_validation()->set_rows(validated);
    job_.mutable_evaluation()->set_rows(reported);
    EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr("late.h5"),
                                      HasSubstr("its first 3 rows"))));
  }
}

TEST_F(ConversionTest, TheReportKnowsOnWhichOfItsRowsGammaWasChosen) {
  job_.set_preset("inference_hybrid");
  for (const double gamma : {0.3, 0.7}) {
    job_.mutable_evaluation()->add_gamma_override(gamma);
  }
  for (const auto& [validated, reported, both] :
       {std::tuple(3, 4, 3), {4, 2, 2}}) {
    job_.mutable_validation()->set_rows(validated);
    job_.mutable_evaluation()->set_rows(reported);
    run_.path = folder_.File(absl::StrCat("run", validated));
    ASSERT_OK_AND_ASSIGN(const ReportInput report, Run());
    EXPECT_EQ(report.gamma_sweep.size(), 2);
    EXPECT_EQ(report.gamma_rows_scored, both);
  }
}

}  // namespace
}  // namespace caracal
