#include "tests/training/gang_runs.h"

#include <google/protobuf/text_format.h>

#include <cmath>
#include <filesystem>
#include <utility>

#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/convert/run_folder.h"
#include "jobs/spec/expand.h"
#include "tests/model/golden.h"

namespace caracal {

using Json = nlohmann::json;

void GangRuns::SetUp() {
  model_ = golden::ModelFolder("tiny_gqa");
  ASSERT_OK(WriteRows("train.h5", 0, 30));
  ASSERT_OK(WriteRows("heldout.h5", 30, 4));
}

absl::Status GangRuns::WriteRows(const std::string& name, int64_t first,
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

proto::Job GangRuns::Job(const std::string& own, const MeshShape& shape) const {
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
  job.mutable_model()->set_path(model_);
  job.mutable_data()->set_path(folder_.File("train.h5"));
  job.mutable_data()->set_validation(folder_.File("heldout.h5"));
  job.mutable_parallel()->set_data(shape.data);
  job.mutable_parallel()->set_tensor(shape.tensor);
  job.mutable_parallel()->set_layer(shape.layer);
  return ExpandJob(job);
}

absl::Status GangRuns::Run(const std::string& own, const MeshShape& shape,
                           const std::string& path, bool resume) {
  return RunJob(Job(own, shape), shape, path, resume);
}

absl::Status GangRuns::RunJob(const proto::Job& job, const MeshShape& shape,
                              const std::string& path, bool resume) {
  const std::vector<absl::Status> results = RunRanks(shape, [&](int) {
    ConversionOptions options;
    options.job = job;
    options.run_folder = path;
    options.resume = resume;
    return options;
  });
  for (const absl::Status& status : results) {
    EXPECT_EQ(status.code(), results[0].code()) << status;
  }
  return results[0];
}

std::vector<absl::Status> GangRuns::RunRanks(
    const MeshShape& shape,
    const std::function<ConversionOptions(int rank)>& options) {
  std::vector<absl::Status> results(shape.ranks());
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    ConversionOptions mine = options(gang.rank());
    mine.gang = &gang;
    results[gang.rank()] = RunConversion(mine).status();
  });
  return results;
}

RunMetrics GangRuns::Metrics(const std::string& path) {
  const std::string text =
      FileSystem::Posix()->ReadFile(RunFolder{path}.metrics()).value_or("");
  RunMetrics lines;
  for (const absl::string_view line :
       absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    lines.push_back(Json::parse(std::string(line)));
    lines.back().erase("tokens_per_s");
  }
  return lines;
}

RunState GangRuns::Read(const std::string& run, uint64_t step) {
  RunState state;
  const auto reader =
      CheckpointReader::Open(FileSystem::Posix(), CheckpointFolder(run, step));
  EXPECT_OK(reader.status());
  if (!reader.ok()) return state;
  const std::vector<std::string> names = reader->TensorNames().value();
  for (const std::string& name : names) {
    const std::vector<TensorPiece> pieces = reader->Pieces(name).value();
    const std::vector<uint64_t>& shape = pieces[0].whole;
    uint64_t size = 1;
    for (const uint64_t extent : shape) size *= extent;
    state[name].resize(size);
    EXPECT_OK(reader->ReadTensor(name, DType::kF32, shape, state[name].data()));
  }
  return state;
}

RunState GangRuns::Gradients(const std::string& run, uint64_t step) {
  constexpr float kBeta1 = 0.9f;
  const RunState before = Read(run, step - 1);
  RunState out;
  for (auto& [name, m] : Read(run, step)) {
    if (name.find("optimizer/m/") != 0) continue;
    out[name] = m;
    const auto old = before.find(name);
    for (size_t i = 0; i < m.size(); ++i) {
      const float was = old == before.end() ? 0 : old->second[i];
      out[name][i] = (m[i] - kBeta1 * was) / (1 - kBeta1);
    }
  }
  return out;
}

void GangRuns::CopyUntil(uint64_t step, const std::string& run,
                         const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(run, to, std::filesystem::copy_options::recursive);
  const auto steps = ListCheckpoints(FileSystem::Posix(), to);
  ASSERT_OK(steps.status());
  for (const uint64_t later : *steps) {
    if (later > step) std::filesystem::remove_all(CheckpointFolder(to, later));
  }
}

RunMetrics AsOfChain(RunMetrics metrics) {
  for (nlohmann::json& step : metrics) {
    if (step["stage"] == "transfer") step.erase("la_mass");
  }
  return metrics;
}

void ExpectClose(const RunMetrics& one, const RunMetrics& gang,
                 double tolerance) {
  ASSERT_EQ(one.size(), gang.size());
  for (size_t i = 0; i < one.size(); ++i) {
    SCOPED_TRACE(one[i].dump());
    const nlohmann::json& step = gang[i];
    ASSERT_EQ(one[i].size(), step.size()) << step.dump();
    for (const auto& [key, value] : one[i].items()) {
      if (key == "la_mass") {
        ASSERT_EQ(step[key].size(), value.size());
        for (size_t layer = 0; layer < value.size(); ++layer) {
          SCOPED_TRACE("la_mass of layer " + std::to_string(layer));
          const nlohmann::json& mass = step[key][layer];
          // null: it has no linear part.
          ASSERT_EQ(mass.is_null(), value[layer].is_null());
          if (mass.is_null()) continue;
          EXPECT_NEAR(mass.get<double>(), value[layer].get<double>(), 1e-5);
        }
        continue;
      }
      if (!value.is_number()) {
        EXPECT_EQ(step[key], value) << key;
        continue;
      }
      // The draws of dropout are the same, bit for bit; a loss is a sum in
      // another order, behind steps that were too.
      const double allowed = key == "dropped_share" ? 0
                             : key == "r" || key == "grad_norm" ||
                                     key == "next_drop_probability" ||
                                     key == "drop_probability"
                                 ? 1e-3
                                 : tolerance;
      // Losses of transfer are small: their own size counts.
      const double expected = value.get<double>();
      const double size = key == "loss" ? std::abs(expected)
                                        : std::max(1.0, std::abs(expected));
      EXPECT_NEAR(step[key].get<double>(), expected, allowed * size) << key;
    }
  }
}

void ExpectNear(const RunState& one, const RunState& gang,
                const std::string& begin, double tolerance) {
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

}  // namespace caracal
