// What jobs/plan says a rank holds is what a rank that loads and trains holds.
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/io/weight_source.h"
#include "core/model/adapters.h"
#include "core/model/llama_weights.h"
#include "core/optim/adamw.h"
#include "dist/gradients/gradient_buckets.h"
#include "dist/gradients/gradient_sync.h"
#include "jobs/plan/stage_layout.h"
#include "jobs/spec/expand.h"
#include "kernels/common/thread_pool.h"
#include "tests/model/golden.h"

namespace caracal {
namespace {

constexpr const char* kJobs[] = {
    "preset: 'ssd'",
    "preset: 'lolcats' lora { rank: 3 projections: 'q' projections: 'k' "
    "projections: 'v' projections: 'o' projections: 'gate' projections: 'up' "
    "projections: 'down' }",
    "stages { transfer { steps: 1 } } stages { finetune { steps: 1 "
    "train_feature_maps: true } } attention { feature_map: 'hedgehog_fla' }",
    "preset: 'hedgehog' attention { feature_map: 't2r' "
    "tied_feature_maps: true }"};

const MeshShape kShapes[] = {{},
                             {.data = 3},
                             {.data = 2, .tensor = 2},
                             {.data = 1, .tensor = 3},
                             {.data = 3, .tensor = 4}};

proto::Job Job(const std::string& own) {
  using google::protobuf::TextFormat;
  proto::Job job, rest;
  EXPECT_TRUE(TextFormat::ParseFromString(
      "budget { batch: 12 transfer_steps: 1 finetune_steps: 1 } "
      "attention { features: 32 }",
      &job));
  EXPECT_TRUE(TextFormat::ParseFromString(own, &rest));
  job.MergeFrom(rest);
  return ExpandJob(job);
}

int64_t Elements(const LinearWeight& w) {
  return w.out_features() * w.in_features();
}

int64_t LayerElements(const LlamaWeights& w) {
  int64_t n = 0;
  for (const LayerWeights& layer : w.layers) {
    n += layer.attention_norm.size() + layer.mlp_norm.size() +
         Elements(layer.qkv) + Elements(layer.o) + Elements(layer.gate_up) +
         Elements(layer.down);
  }
  return n;
}

// The same tensors in the same order as in the store, and the same shares of
// them for every data rank.
void CheckTrained(const RankPart& part, ParameterStore* store,
                  const MeshShape& mesh) {
  size_t i = 0;
  for (size_t run = 0; run < store->trained_runs().size(); ++run) {
    for (const Parameter* p : store->trained_runs()[run].parameters) {
      SCOPED_TRACE(p->name);
      ASSERT_LT(i, part.trained.size());
      const TrainedTensor& t = part.trained[i++];
      EXPECT_EQ(t.run, static_cast<int>(run));
      EXPECT_EQ(t.layer, p->slice.layer);
      EXPECT_EQ(t.size, p->value.size());
      EXPECT_EQ(t.row, p->value.size() / p->value.shape[0]);
      EXPECT_EQ(t.shared, p->slice.shared);
      int64_t whole = 1;
      for (int d = 0; d < p->value.rank; ++d) whole *= p->slice.whole[d];
      EXPECT_EQ(t.whole, whole);
    }
  }
  EXPECT_EQ(i, part.trained.size());
  EXPECT_EQ(part.trained_elements(), store->trained_size());
  const auto buckets =
      MakeGradientBuckets(*store, mesh.data, GradientSync::kBucketElements);
  for (int rank = 0; rank < mesh.data; ++rank) {
    AdamW optimizer(store, {}, PartsOf(buckets, rank));
    int64_t moments = 0;
    for (const AdamW::Moments& m : optimizer.moments()) {
      moments += m.first.size();
    }
    EXPECT_EQ(UpdatedElements(part, mesh.data, rank), moments);
  }
}

TEST(RankPartTest, HoldsWhatALoadedShardHolds) {
  ThreadPool pool(1);
  const Context ctx = {DeviceType::kCpu, &pool, nullptr};
  for (const char* name : {"tiny_gqa", "tiny_tied"}) {
    ASSERT_OK_AND_ASSIGN(const auto source,
                         OpenModel(golden::ModelFolder(name)));
    for (const char* own : kJobs) {
      const proto::Job job = Job(own);
      for (const MeshShape& mesh : kShapes) {
        for (int tensor = 0; tensor < mesh.tensor; ++tensor) {
          SCOPED_TRACE(testing::Message()
                       << name << ", " << own << ", " << FormatMesh(mesh)
                       << ", tensor " << tensor);
          const auto weights = LlamaWeights::Load(
              ctx, *source, Shard{tensor, mesh.tensor}, WeightForm::kDense);
          const auto layout = LayOut(job, 0, source->config(), 32, mesh);
          ASSERT_OK(layout.status());
          const auto part = PartOf(*layout, {.tensor = tensor});
          ASSERT_EQ(part.status(),
                    weights.status().ok() ? absl::OkStatus() : part.status());
          if (!part.ok()) continue;
          EXPECT_EQ(part->layer_weights, LayerElements(*weights));
          EXPECT_EQ(part->vocabulary_weights,
                    Elements(weights->embedding) + weights->final_norm.size() +
                        (source->config().tie_word_embeddings
                             ? 0
                             : Elements(weights->lm_head)));
          Adapters adapters(weights->adapter_shape(), layout->student);
          for (int stage = 0; stage < job.stages_size(); ++stage) {
            const auto of_stage =
                LayOut(job, stage, source->config(), 32, mesh);
            const auto holds = PartOf(*of_stage, {.tensor = tensor});
            adapters.parameters().SetTrained(of_stage->trained);
            CheckTrained(*holds, &adapters.parameters(), mesh);
          }
        }
      }
    }
  }
}

// Of a chain each rank has its own layers, and one of them the embedding.
TEST(RankPartTest, ChainsShareOutLayers) {
  ASSERT_OK_AND_ASSIGN(const auto source,
                       OpenModel(golden::ModelFolder("tiny_gqa")));
  const proto::Job job = Job(kJobs[0]);
  ASSERT_OK_AND_ASSIGN(const StageLayout whole,
                       LayOut(job, 0, source->config(), 32, {}));
  ASSERT_OK_AND_ASSIGN(
      const StageLayout chain,
      LayOut(job, 0, source->config(), 32, {.data = 1, .layer = 2}));
  ASSERT_OK_AND_ASSIGN(const RankPart all, PartOf(whole, {}));
  ASSERT_OK_AND_ASSIGN(const RankPart first, PartOf(chain, {}));
  ASSERT_OK_AND_ASSIGN(const RankPart last, PartOf(chain, {.layer = 1}));
  EXPECT_EQ(first.layer_weights + last.layer_weights, all.layer_weights);
  EXPECT_EQ(first.trained_elements() + last.trained_elements(),
            all.trained_elements());
  EXPECT_EQ(first.vocabulary_weights, 320 * 64);
  EXPECT_EQ(last.vocabulary_weights, 0);
}

}  // namespace
}  // namespace caracal
