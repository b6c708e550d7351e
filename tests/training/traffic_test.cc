// What the ranks of a gang send in a step is what jobs/plan works out
// beforehand: to the byte, rank by rank and group by group. The ranks are
// threads here.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hdf5/hdf5.h"
#include "core/io/weight_source.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/convert/conversion.h"
#include "jobs/plan/communication.h"
#include "jobs/spec/expand.h"
#include "jobs/train/student_config.h"
#include "tests/model/golden.h"

namespace caracal {

void PrintTo(const GangTraffic& t, std::ostream* out) {
  *out << "tensor " << t.tensor << ", data " << t.data << ", layer " << t.layer
       << ", world " << t.world;
}

namespace {

// All trained tensors, in every way that ranks share them.
constexpr const char* kJobs[] = {
    // SSD, LoRA on every projection, window factors; checkpoints by time.
    "preset: 'ssd' curriculum { drop { step: [ 0.9, 0.5 ] } } "
    "lora { rank: 3 projections: 'q' projections: 'k' projections: 'v' "
    "projections: 'o' projections: 'gate' projections: 'up' "
    "projections: 'down' } budget { micro_batch: 1 }",
    // Both losses of a fine-tune, one feature map with a bias for all heads,
    // adapters behind one norm only.
    "stages { transfer { steps: 3 loss { mse: 1000 xent: 0.5 } } } "
    "stages { finetune { steps: 3 loss { lm: 1 logit_kl: 0.5 } "
    "train_feature_maps: true } } attention { feature_map: 'hedgehog_fla' } "
    "lora { projections: 'v' projections: 'down' } "
    "checkpoint { every_seconds: 0 }",
    "preset: 'swa_control' lora { projections: 'up' projections: 'o' } "
    "budget { micro_batch: 2 }"};

const MeshShape kShapes[] = {{},
                             {.data = 2},
                             {.data = 1, .tensor = 2},
                             {.data = 2, .tensor = 2},
                             {.data = 4},
                             {.data = 1, .tensor = 3},
                             {.data = 1, .tensor = 4}};

class TrafficTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_OK(WriteRows()); }

  absl::Status WriteRows() {
    ASSIGN_OR_RETURN(const golden::GoldenTensors rows,
                     golden::ReadGoldenTensors(golden::ModelFolder("tiny_gqa") +
                                               "/rows.safetensors"));
    const int64_t length = rows.at("tokens").shape[1];
    ASSIGN_OR_RETURN(hdf5::File file,
                     hdf5::File::Create(folder_.File("train.h5")));
    RETURN_IF_ERROR(
        file.Write<int32_t>(kTokensDataset, {30, static_cast<uint64_t>(length)},
                            golden::GoldenRows(rows, "tokens", 0, 30, length)));
    return file.Close();
  }

  proto::Job Job(const std::string& own, const MeshShape& shape) {
    using google::protobuf::TextFormat;
    proto::Job job, rest;
    CARACAL_CHECK(TextFormat::ParseFromString(
        "attention { window: 8 sinks: 2 features: 32 } "
        "budget { batch: 4 transfer_steps: 3 finetune_steps: 3 } "
        "evaluation { rows: 0 } data { seq_len: 47 } threads: 1",
        &job));
    CARACAL_CHECK(TextFormat::ParseFromString(own, &rest));
    job.MergeFrom(rest);
    job.mutable_model()->set_path(golden::ModelFolder("tiny_gqa"));
    job.mutable_data()->set_path(folder_.File("train.h5"));
    job.mutable_parallel()->set_data(shape.data);
    job.mutable_parallel()->set_tensor(shape.tensor);
    job.mutable_parallel()->set_layer(shape.layer);
    if (job.budget().micro_batch() > 4 / shape.data) {
      job.mutable_budget()->set_micro_batch(4 / shape.data);
    }
    return ExpandJob(job);
  }

  TemporaryFolder folder_;
};

TEST_F(TrafficTest, EveryRankSendsWhatTheFormulaSays) {
  ASSERT_OK_AND_ASSIGN(const auto model,
                       OpenModel(golden::ModelFolder("tiny_gqa")));
  int run = 0;
  for (const char* own : kJobs) {
    for (const MeshShape& shape : kShapes) {
      const proto::Job job = Job(own, shape);
      // By rank: after each step, its stage and what was sent so far.
      struct Seen {
        int64_t stage;
        GangTraffic sent;
      };
      std::vector<std::vector<Seen>> seen(shape.ranks());
      const std::string path = folder_.File(absl::StrCat("run", run++));
      RunAsMesh(shape, [&](MeshGroups& groups) {
        Gang gang(std::move(groups));
        ConversionOptions options;
        options.job = job;
        options.run_folder = path;
        options.gang = &gang;
        options.events.step = [&](const StepRecord& record) {
          seen[gang.rank()].push_back({record.stage_index, gang.traffic()});
        };
        EXPECT_OK(RunConversion(options).status());
      });
      for (int rank = 0; rank < shape.ranks(); ++rank) {
        int compared = 0;
        for (size_t i = 1; i < seen[rank].size(); ++i) {
          const int stage = static_cast<int>(seen[rank][i].stage);
          if (seen[rank][i - 1].stage != stage) continue;
          const MeshShape mesh = MeshOf(job, stage);
          const MeshPlace place = PlaceOf(mesh, rank);
          ASSERT_OK_AND_ASSIGN(
              const StageLayout layout,
              LayOut(job, stage, model->config(), job.data().seq_len(), mesh));
          ASSERT_OK_AND_ASSIGN(const RankPart part, PartOf(layout, place));
          EXPECT_EQ(seen[rank][i].sent - seen[rank][i - 1].sent,
                    StepTraffic(layout, part, place))
              << own << "\n"
              << FormatMesh(shape) << ", rank " << rank << ", stage " << stage;
          EXPECT_EQ(seen[rank][i].sent.tensor > 0, mesh.tensor > 1);
          EXPECT_EQ(seen[rank][i].sent.data > 0, mesh.data > 1);
          ++compared;
        }
        EXPECT_EQ(compared, 2 * job.stages_size()) << FormatMesh(shape);
      }
    }
  }
}

// Some of a step's stream is sent in the step before: over a stage it is as
// many steps' worth.
TEST_F(TrafficTest, AChainSendsItsStream) {
  ASSERT_OK_AND_ASSIGN(const auto model,
                       OpenModel(golden::ModelFolder("tiny_gqa")));
  constexpr int kSteps = 3;
  for (const MeshShape& shape :
       {MeshShape{.layer = 2}, MeshShape{.data = 2, .layer = 2},
        MeshShape{.tensor = 2, .layer = 2}}) {
    const proto::Job job = Job(
        "stages { transfer { steps: 3 } } budget { micro_batch: 1 }", shape);
    ASSERT_OK_AND_ASSIGN(
        const StageLayout layout,
        LayOut(job, 0, model->config(), job.data().seq_len(), shape));
    const std::string path = folder_.File(FormatMesh(shape));
    RunAsMesh(shape, [&](MeshGroups& groups) {
      Gang gang(std::move(groups));
      ConversionOptions options;
      options.job = job;
      options.run_folder = path;
      options.gang = &gang;
      EXPECT_OK(RunConversion(options).status());
      const auto part = PartOf(layout, gang.place());
      EXPECT_OK(part.status());
      const GangTraffic step = StepTraffic(layout, *part, gang.place());
      EXPECT_EQ(gang.traffic().layer, kSteps * step.layer);
      EXPECT_EQ(step.layer > 0, gang.place().layer == 0);
    });
  }
}

}  // namespace
}  // namespace caracal
