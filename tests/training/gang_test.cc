// A job on any layout of ranks trains the model that one process trains: the
// losses of every step, and the state a checkpoint holds. The ranks are threads
// here; tests/end_to_end starts real ones.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/convert/conversion.h"
#include "jobs/convert/run_folder.h"
#include "jobs/spec/expand.h"
#include "tests/model/golden.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

// By name: all tensors of a checkpoint, whole.
using State = std::map<std::string, std::vector<float>>;

class GangTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(WriteRows("train.h5", 0, 30));
    ASSERT_OK(WriteRows("heldout.h5", 30, 4));
  }

  absl::Status WriteRows(const std::string& name, int64_t first,
                         int64_t count) {
    ASSIGN_OR_RETURN(const golden::GoldenTensors rows,
                     golden::ReadGoldenTensors(golden::ModelFolder("tiny_gqa") +
                                               "/rows.safetensors"));
    const int64_t length = rows.at("tokens").shape[1];
    ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(folder_.File(name)));
    RETURN_IF_ERROR(file.Write<int32_t>(
        kTokensDataset,
        {static_cast<uint64_t>(count), static_cast<uint64_t>(length)},
        golden::GoldenRows(rows, "tokens", first, count, length)));
    return file.Close();
  }

  proto::Job Job(const std::string& own, const MeshShape& shape) {
    using google::protobuf::TextFormat;
    proto::Job job, rest;
    CARACAL_CHECK(TextFormat::ParseFromString(
        R"(attention { window: 8 sinks: 2 features: 32 }
           budget { batch: 4 micro_batch: 1 }
           validation { every_steps: 2 rows: 3 }
           checkpoint { every_steps: 1 keep_last: 99 }
           evaluation { rows: 0 }
           seed: 3 threads: 1)",
        &job));
    CARACAL_CHECK(TextFormat::ParseFromString(own, &rest));
    if (rest.has_preset()) {
      job.mutable_budget()->set_transfer_steps(3);
      job.mutable_budget()->set_finetune_steps(4);
    }
    job.MergeFrom(rest);
    job.mutable_model()->set_path(golden::ModelFolder("tiny_gqa"));
    job.mutable_data()->set_path(folder_.File("train.h5"));
    job.mutable_data()->set_validation(folder_.File("heldout.h5"));
    job.mutable_parallel()->set_data(shape.data);
    job.mutable_parallel()->set_tensor(shape.tensor);
    job.mutable_parallel()->set_layer(shape.layer);
    return ExpandJob(job);
  }

  // As gangs of this shape do it; the leading rank's answer.
  absl::Status Run(const std::string& own, const MeshShape& shape,
                   const std::string& path, bool resume = false) {
    std::vector<absl::Status> results(shape.ranks());
    RunAsMesh(shape, [&](MeshGroups& groups) {
      Gang gang(std::move(groups));
      ConversionOptions options;
      options.job = Job(own, shape);
      options.run_folder = path;
      options.resume = resume;
      options.gang = &gang;
      results[gang.rank()] = RunConversion(options).status();
    });
    for (const absl::Status& status : results) {
      EXPECT_EQ(status.code(), results[0].code()) << status;
    }
    return results[0];
  }

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

  static State Read(const std::string& run, uint64_t step) {
    State state;
    const auto reader = CheckpointReader::Open(FileSystem::Posix(),
                                               CheckpointFolder(run, step));
    EXPECT_OK(reader.status());
    if (!reader.ok()) return state;
    const std::vector<std::string> names = reader->TensorNames().value();
    for (const std::string& name : names) {
      const std::vector<TensorPiece> pieces = reader->Pieces(name).value();
      const std::vector<uint64_t>& shape = pieces[0].whole;
      uint64_t size = 1;
      for (const uint64_t extent : shape) size *= extent;
      state[name].resize(size);
      EXPECT_OK(
          reader->ReadTensor(name, DType::kF32, shape, state[name].data()));
    }
    return state;
  }

  TemporaryFolder folder_;
};

constexpr char kSsd[] =
    "preset: 'ssd' curriculum { drop { step: [ 0.9, 0.5 ] } granularity: HEAD "
    "closed_loop { every: 2 p_max: 0.8 } }";
constexpr char kMixed[] =
    "stages { transfer { steps: 3 loss { mse: 1000 xent: 0.5 kl: 0.1 } } } "
    "stages { finetune { steps: 4 loss { lm: 1 logit_kl: 0.5 } "
    "train_feature_maps: true } } "
    "attention { feature_map: 'hedgehog_fla' window_kind: 'terraced' "
    "affine: true } lora { projections: 'q' projections: 'v' "
    "projections: 'gate' projections: 'down' }";

void ExpectClose(const std::vector<Json>& one, const std::vector<Json>& gang) {
  ASSERT_EQ(one.size(), gang.size());
  for (size_t i = 0; i < one.size(); ++i) {
    SCOPED_TRACE(one[i].dump());
    ASSERT_EQ(one[i].size(), gang[i].size()) << gang[i].dump();
    for (const auto& [key, value] : one[i].items()) {
      if (!value.is_number()) {
        EXPECT_EQ(gang[i][key], value) << key;
        continue;
      }
      // The draws of dropout are the same, bit for bit; a loss is a sum in
      // another order, behind steps that were too.
      const double tolerance = key == "dropped_share" ? 0
                               : key == "r" || key == "grad_norm" ||
                                       key == "next_drop_probability" ||
                                       key == "drop_probability"
                                   ? 1e-3
                                   : 1e-6;
      EXPECT_NEAR(gang[i][key].get<double>(), value.get<double>(),
                  tolerance * std::max(1.0, std::abs(value.get<double>())))
          << key;
    }
  }
}

// Tensors whose names begin so.
void ExpectNear(const State& one, const State& gang, const std::string& begin,
                double tolerance) {
  ASSERT_EQ(one.size(), gang.size());
  int compared = 0;
  for (const auto& [name, values] : one) {
    if (name.find(begin) != 0) continue;
    ++compared;
    ASSERT_EQ(gang.at(name).size(), values.size()) << name;
    EXPECT_LE(golden::RelativeDifference(gang.at(name), values), tolerance)
        << name;
  }
  EXPECT_GT(compared, 0) << begin;
}

const MeshShape kShapes[] = {
    {.data = 2}, {.data = 1, .tensor = 2}, {.data = 2, .tensor = 2},
    {.data = 4}, {.data = 1, .tensor = 3}, {.data = 1, .tensor = 4},
    {.layer = 2}, {.data = 1, .tensor = 2, .layer = 2}};

TEST_F(GangTest, EveryLayoutTrainsTheSameModel) {
  for (const char* own : {kSsd, kMixed}) {
    SCOPED_TRACE(own);
    const std::string one = folder_.File(own == kSsd ? "one" : "one_mixed");
    ASSERT_OK(Run(own, {}, one));
    const std::vector<Json> expected = Metrics(one);
    ASSERT_EQ(expected.size(), 7);
    const State state = Read(one, 6);
    ASSERT_GT(state.size(), 10);
    for (const MeshShape& shape : kShapes) {
      SCOPED_TRACE(FormatMesh(shape));
      const std::string path = one + FormatMesh(shape);
      ASSERT_OK(Run(own, shape, path));
      ExpectClose(expected, Metrics(path));
      // After a stage's first step m is a tenth of the gradient. In the second
      // stage it is that of parameters which three steps have moved apart.
      ExpectNear(Read(one, 1), Read(path, 1), "optimizer/m", 1e-5);
      ExpectNear(Read(one, 4), Read(path, 4), "optimizer/m", 1e-3);
      // AdamW divides by the gradient's own size: of an element that is nearly
      // 0 the sign may turn, and with it a step of the learning rate.
      ExpectNear(state, Read(path, 6), "", 1e-2);
    }
  }
}

TEST_F(GangTest, TheSameLayoutTwiceIsTheSameBits) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  ASSERT_OK(Run(kSsd, shape, folder_.File("a")));
  ASSERT_OK(Run(kSsd, shape, folder_.File("b")));
  EXPECT_EQ(Metrics(folder_.File("a")), Metrics(folder_.File("b")));
  EXPECT_EQ(Read(folder_.File("a"), 6), Read(folder_.File("b"), 6));
}

TEST_F(GangTest, GoesOnFromACheckpointBitForBit) {
  const MeshShape shape = {.data = 2, .tensor = 2};
  const std::string whole = folder_.File("whole"), cut = folder_.File("cut");
  ASSERT_OK(Run(kSsd, shape, whole));
  for (const uint64_t step : {2, 3, 5}) {
    SCOPED_TRACE(step);
    std::filesystem::remove_all(cut);
    std::filesystem::copy(whole, cut, std::filesystem::copy_options::recursive);
    for (uint64_t later = step + 1; later <= 7; ++later) {
      std::filesystem::remove_all(CheckpointFolder(cut, later));
    }
    ASSERT_OK(Run(kSsd, shape, cut, /*resume=*/true));
    EXPECT_EQ(Metrics(cut), Metrics(whole));
    EXPECT_EQ(Read(cut, 6), Read(whole, 6));
  }
}

// 2 x 2, then one process, then 4 x 1: what is read back is what was saved.
TEST_F(GangTest, AnotherLayoutGoesOnFromTheSameState) {
  const std::string path = folder_.File("run");
  ASSERT_OK(Run(kSsd, {.data = 2, .tensor = 2}, path));
  const State saved = Read(path, 5);
  const std::vector<Json> metrics = Metrics(path);
  for (const MeshShape& shape :
       {MeshShape{}, MeshShape{.data = 4}, MeshShape{.data = 1, .tensor = 3}}) {
    SCOPED_TRACE(FormatMesh(shape));
    for (uint64_t later : {6, 7}) {
      std::filesystem::remove_all(CheckpointFolder(path, later));
    }
    ASSERT_OK(Run(kSsd, shape, path, /*resume=*/true));
    EXPECT_EQ(Read(path, 5), saved);
    ExpectClose(metrics, Metrics(path));
  }
}

TEST_F(GangTest, RanksWithOtherJobsAreRefused) {
  std::vector<absl::Status> results(2);
  const MeshShape shape = {.data = 2};
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    ConversionOptions options;
    options.job = Job(kSsd, shape);
    if (gang.rank() == 1) options.job.set_seed(4);
    options.run_folder = folder_.File("run");
    options.gang = &gang;
    results[gang.rank()] = RunConversion(options).status();
  });
  for (const absl::Status& status : results) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 testing::HasSubstr("job fingerprint")));
  }
}

}  // namespace
}  // namespace caracal
