// Every preset on a tiny model: runs to its end, and a run that was cut off
// after any checkpoint goes on as if nothing had happened, bit for bit.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/catalogue.h"
#include "jobs/convert/conversion.h"
#include "jobs/convert/gamma_sweep.h"
#include "jobs/convert/run_folder.h"
#include "jobs/spec/expand.h"
#include "jobs/spec/validate.h"
#include "tests/model/golden.h"
#include "tests/model/golden_model.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

struct PresetCase {
  const char* name;
  const char* job;  // on top of the common fields
};

const PresetCase kCases[] = {
    {"lolcats", "preset: 'lolcats'"},
    {"hedgehog", "preset: 'hedgehog'"},
    {"inference_hybrid", "preset: 'inference_hybrid'"},
    {"hedgecats", "preset: 'hedgecats'"},
    {"ssd",
     "preset: 'ssd' curriculum { drop { step: [ 0.9, 0.5 ] } "
     "window { linear { from: 12 to: 8 } } }"},
    {"closed_loop",
     "preset: 'ssd' curriculum { drop { constant: 0.4 } granularity: HEAD "
     "drop_mode: LA_PAST drop_keeps_sinks: true "
     "closed_loop { every: 2 p_max: 0.8 } }"},
    {"early_stop",
     "stages { transfer { steps: 8 lr: 5 early_stop { patience: 1 } } } "
     "stages { finetune { steps: 3 } }"},
    {"swa_control", "preset: 'swa_control'"},
    {"lolcats_reference",
     "preset: 'lolcats' attention { window_kind: 'terraced' sinks: 0 "
     "compat: LOLCATS_REFERENCE }"},
    {"mixed_losses",
     "stages { transfer { steps: 3 loss { mse: 1000 xent: 0.5 kl: 0.1 } } } "
     "attention { feature_map: 't2r' window_kind: 'terraced' affine: true "
     "reset_at_document: true softmax_layers: 1 } "
     "optimizer { weight_decay: 0.1 group_weight_decay { feature_biases: 0 "
     "window_factors: 0.02 } }"},
};

class PresetRunsTest : public ::testing::TestWithParam<PresetCase> {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteRows("train.h5", 0, 30));
    ASSERT_OK(WriteRows("heldout.h5", 30, 4));
    using google::protobuf::TextFormat;
    proto::Job own;
    ASSERT_TRUE(TextFormat::ParseFromString(
        R"(attention { window: 8 sinks: 2 features: 32 }
           budget { batch: 2 micro_batch: 1 }
           validation { every_steps: 2 rows: 4 }
           checkpoint { every_steps: 1 keep_last: 99 }
           evaluation { rows: 2 bootstrap_samples: 100 }
           seed: 3 threads: 2)",
        &job_));
    ASSERT_TRUE(TextFormat::ParseFromString(GetParam().job, &own));
    if (own.has_preset()) {
      job_.mutable_budget()->set_transfer_steps(3);
      job_.mutable_budget()->set_finetune_steps(6);
    }
    job_.MergeFrom(own);
    job_.mutable_model()->set_path(golden::ModelFolder("tiny_gqa"));
    job_.mutable_data()->set_path(folder_.File("train.h5"));
    job_.mutable_data()->set_validation(folder_.File("heldout.h5"));
    job_ = ExpandJob(job_);
    std::vector<Problem> problems;
    ValidateJob(job_, &problems);
    ASSERT_TRUE(problems.empty()) << problems[0].ToString();
  }

  // `count` golden rows from `first` on, with their documents.
  absl::Status WriteRows(const std::string& name, int64_t first,
                         int64_t count) {
    ASSIGN_OR_RETURN(const golden::GoldenTensors rows,
                     golden::ReadGoldenTensors(golden::ModelFolder("tiny_gqa") +
                                               "/rows.safetensors"));
    const int64_t length = rows.at("tokens").shape[1];
    const uint64_t shape[] = {static_cast<uint64_t>(count),
                              static_cast<uint64_t>(length)};
    const std::vector<int32_t> document =
        golden::GoldenRows(rows, "document", first, count, length);
    // They grow over the whole file.
    std::vector<int64_t> documents;
    for (size_t i = 0; i < document.size(); ++i) {
      documents.push_back(document[i] +
                          1000 * static_cast<int64_t>(i / length));
    }
    ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(folder_.File(name)));
    RETURN_IF_ERROR(file.Write<int32_t>(
        kTokensDataset, shape,
        golden::GoldenRows(rows, "tokens", first, count, length)));
    RETURN_IF_ERROR(file.Write<int64_t>(kDocumentDataset, shape, documents));
    return file.Close();
  }

  absl::Status Run(const std::string& path, bool resume) {
    ConversionOptions options;
    options.job = job_;
    options.run_folder = path;
    options.resume = resume;
    return RunConversion(options).status();
  }

  // The lines of metrics.jsonl without what depends on the clock.
  static std::vector<Json> Metrics(const std::string& path) {
    const std::string text =
        FileSystem::Posix()->ReadFile(RunFolder{path}.metrics()).value_or("");
    std::vector<Json> lines;
    for (const absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      lines.push_back(Json::parse(std::string(line)));
      lines.back().erase("tokens_per_s");
    }
    return lines;
  }

  static std::string Attribution(const std::string& path) {
    return FileSystem::Posix()
        ->ReadFile(RunFolder{path}.attribution())
        .value_or("");
  }

  TemporaryFolder folder_;
  proto::Job job_;
};

TEST_P(PresetRunsTest, GoesOnFromEveryCheckpointBitForBit) {
  const std::string whole = folder_.File("whole");
  ASSERT_OK(Run(whole, /*resume=*/false));
  const std::vector<Json> metrics = Metrics(whole);
  ASSERT_FALSE(metrics.empty());
  ASSERT_FALSE(Attribution(whole).empty());
  ASSERT_OK_AND_ASSIGN(const std::vector<uint64_t> steps,
                       ListCheckpoints(FileSystem::Posix(), whole));
  ASSERT_GE(steps.size(), 3u);
  // The first, one in the middle and the one before the last.
  for (const size_t i : {size_t{0}, steps.size() / 2, steps.size() - 2}) {
    SCOPED_TRACE(testing::Message() << "cut off after step " << steps[i]);
    const std::string cut = folder_.File("cut");
    std::filesystem::remove_all(cut);
    std::filesystem::copy(whole, cut, std::filesystem::copy_options::recursive);
    for (const char* file :
         {"attribution.json", "report.html", "gamma_sweep.json"}) {
      std::filesystem::remove(cut + "/" + file);
    }
    for (size_t j = i + 1; j < steps.size(); ++j) {
      std::filesystem::remove_all(CheckpointFolder(cut, steps[j]));
    }
    // Like a crash, it may have left a marker of what is gone.
    ASSERT_OK(Run(cut, /*resume=*/true));
    EXPECT_EQ(Metrics(cut), metrics);
    EXPECT_EQ(Attribution(cut), Attribution(whole));
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, PresetRunsTest, testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

// The losses fall, so that bits that agree say something.
TEST_P(PresetRunsTest, Learns) {
  ASSERT_OK(Run(folder_.File("run"), /*resume=*/false));
  const std::vector<Json> lines = Metrics(folder_.File("run"));
  EXPECT_GT(lines.front()["loss"].get<double>(), 1e-4);
  EXPECT_GT(lines.front()["grad_norm"].get<double>(), 1e-4);
  EXPECT_NE(lines.front()["loss"], lines.back()["loss"]);
}

class PresetTraceTest : public PresetRunsTest {};

// What each remedy leaves in the metrics.
TEST_P(PresetTraceTest, IsWritten) {
  const std::string path = folder_.File("run");
  ASSERT_OK(Run(path, /*resume=*/false));
  const std::string name = GetParam().name;
  const auto count = [&](const char* key) {
    const std::vector<Json> lines = Metrics(path);
    return std::count_if(lines.begin(), lines.end(),
                         [&](const Json& line) { return line.contains(key); });
  };
  EXPECT_EQ(count("mse") > 0,
            name == "lolcats" || name == "lolcats_reference" || name == "ssd" ||
                name == "closed_loop" || name == "early_stop" ||
                name == "mixed_losses");
  EXPECT_EQ(count("xent") > 0, name == "hedgehog" || name == "hedgecats" ||
                                   name == "inference_hybrid" ||
                                   name == "mixed_losses");
  EXPECT_EQ(count("drop_probability"),
            name == "ssd" || name == "closed_loop" ? 6 : 0);
  EXPECT_EQ(count("window"), name == "ssd" ? 6 : 0);
  EXPECT_EQ(count("u_star"), name == "closed_loop" ? 3 : 0);
  EXPECT_EQ(count("swa_only_loss") > 0, name == "hedgecats");
  EXPECT_EQ(count("early_stop_score") > 0,
            name == "hedgecats" || name == "early_stop");
  if (name == "early_stop") {
    // A rate of 5 is far too high: the stage is cut short.
    EXPECT_LT(Metrics(path).size(), 11u);
  }
  if (name == "inference_hybrid") {
    ASSERT_OK_AND_ASSIGN(
        const std::string text,
        FileSystem::Posix()->ReadFile(RunFolder{path}.gamma_sweep()));
    ASSERT_OK_AND_ASSIGN(const GammaSweep sweep, GammaSweepFromJson(text));
    ASSERT_EQ(static_cast<int>(sweep.points.size()),
              job_.evaluation().gamma_override_size());
    const auto best = std::min_element(
        sweep.points.begin(), sweep.points.end(),
        [](const auto& a, const auto& b) { return a.loss < b.loss; });
    EXPECT_EQ(sweep.chosen, best->gamma);
  }
}

class BestCheckpointTest : public PresetRunsTest {};

// The best state of a stage may be its last.
TEST_P(BestCheckpointTest, MayBeTheLast) {
  job_.mutable_validation()->set_every_steps(1);
  job_.mutable_checkpoint()->set_every_steps(0);
  const std::string path = folder_.File("run");
  ASSERT_OK(Run(path, /*resume=*/false));
  // Of the last stage.
  const std::vector<Json> lines = Metrics(path);
  int64_t at = -1;
  for (const Json& line : lines) {
    if (line["stage_index"] != lines.back()["stage_index"]) continue;
    if (at < 0 || line["validation_loss"] < lines[at]["validation_loss"]) {
      at = &line - lines.data();
    }
  }
  ASSERT_EQ(at + 1, static_cast<int64_t>(lines.size())) << "choose other steps";
  ASSERT_OK_AND_ASSIGN(const std::optional<BestCheckpoint> best,
                       ReadBestCheckpoint(FileSystem::Posix(), path));
  ASSERT_TRUE(best.has_value());
  EXPECT_EQ(best->step, lines.size());
  EXPECT_EQ(best->score, lines.back()["validation_loss"].get<double>());
}

INSTANTIATE_TEST_SUITE_P(Presets, BestCheckpointTest,
                         testing::Values(kCases[0]));

class WideWindowTest : public PresetRunsTest {};

// A window as wide as a job may ask for, in the report's continuation too.
TEST_P(WideWindowTest, TakesNoMemory) {
  job_.mutable_attention()->set_window(1 << 20);
  job_.mutable_attention()->set_sinks(1 << 16);
  job_.mutable_evaluation()->set_prompt("The quick brown fox");
  job_.mutable_evaluation()->set_max_new_tokens(3);
  EXPECT_OK(Run(folder_.File("run"), /*resume=*/false));
}

INSTANTIATE_TEST_SUITE_P(Presets, WideWindowTest, testing::Values(kCases[0]));

INSTANTIATE_TEST_SUITE_P(Presets, PresetTraceTest, testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace caracal
