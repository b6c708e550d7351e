#include "jobs/plan/stage_layout.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/llama_weights.h"
#include "dist/gradients/gradient_sync.h"
#include "jobs/spec/layout.h"
#include "jobs/train/student_config.h"
#include "kernels/feature_map/feature_map.h"

namespace caracal {
namespace {

bool Has(const std::vector<ParameterGroup>& groups, ParameterGroup group) {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

}  // namespace

std::vector<int64_t> StageLayout::MicroBatches() const {
  std::vector<int64_t> batches;
  const int64_t mine = rows / mesh.data;
  for (int64_t begin = 0; begin < mine; begin += micro_rows) {
    batches.push_back(std::min(micro_rows, mine - begin));
  }
  return batches;
}

MeshShape MeshOf(const proto::Job& job, int stage) {
  return LayoutOf(job, job.stages(stage));
}

absl::StatusOr<StageLayout> LayOut(const proto::Job& job, int stage,
                                   const ModelConfig& model, int64_t seq_len,
                                   const MeshShape& mesh) {
  StageLayout layout;
  layout.model = model;
  ASSIGN_OR_RETURN(layout.student, StudentConfigOf(job, model));
  layout.mesh = mesh;
  const proto::Stage& s = job.stages(stage);
  layout.transfer = s.has_transfer();
  const auto trains = [&](bool trained, ParameterGroup group) {
    if (trained) layout.trained.push_back(group);
  };
  const bool maps = layout.transfer ? s.transfer().train_feature_maps()
                                    : s.finetune().train_feature_maps();
  trains(maps, ParameterGroup::kFeatureMap);
  trains(maps, ParameterGroup::kFeatureBias);
  trains(layout.transfer ? s.transfer().train_window_factors()
                         : s.finetune().train_window_factors(),
         ParameterGroup::kWindowFactor);
  trains(!layout.transfer && s.finetune().train_lora(), ParameterGroup::kLora);
  const proto::TransferLoss& loss = s.transfer().loss();
  layout.output_loss = layout.transfer && loss.mse() > 0;
  layout.weight_loss = layout.transfer && (loss.xent() > 0 || loss.kl() > 0);
  layout.logit_kl = !layout.transfer && s.finetune().loss().logit_kl() > 0;
  layout.curriculum = s.finetune().has_curriculum();
  layout.rows = job.budget().batch();
  layout.micro_rows = job.budget().micro_batch() > 0
                          ? job.budget().micro_batch()
                          : layout.rows / mesh.data;
  layout.seq_len = seq_len;
  layout.by_clock = job.checkpoint().every_seconds() > 0;
  return layout;
}

int64_t FeatureOutputs(const StageLayout& layout) {
  return kernels::FeatureMapOutputs(layout.student.attention.feature_map,
                                    layout.student.features);
}

std::vector<TrainedTensor> TrainedTensors(
    const AdapterShape& shape, const StudentConfig& student,
    const std::vector<ParameterGroup>& groups) {
  const int64_t d = shape.head_dim, f = student.features;
  const bool one_map =
      student.attention.feature_map == kernels::FeatureMapKind::kHedgehogFla;
  std::vector<TrainedTensor> out;
  int run = 0;
  // Per-head tensors with `row` elements in a row and `each` in a head.
  const auto add_heads = [&](int layer, int64_t each, int64_t row, bool one) {
    out.push_back({.run = run,
                   .layer = layer,
                   .size = (one ? 1 : shape.heads) * each,
                   .row = row,
                   .whole = (one ? 1 : shape.model_heads) * each,
                   .shared = one && shape.replicas});
  };
  const auto end_run = [&] {
    if (!out.empty() && out.back().run == run) ++run;
  };
  const int maps = student.tied_features ? 1 : 2;
  if (Has(groups, ParameterGroup::kFeatureMap)) {
    for (int i = 0; i < shape.layers; ++i) {
      for (int m = 0; m < maps; ++m) add_heads(i, d * f, d * f, one_map);
    }
    end_run();
  }
  if (Has(groups, ParameterGroup::kFeatureBias) && student.feature_bias) {
    for (int i = 0; i < shape.layers; ++i) {
      for (int m = 0; m < maps; ++m) add_heads(i, f, f, one_map);
    }
    end_run();
  }
  if (Has(groups, ParameterGroup::kWindowFactor)) {
    for (int i = 0; i < shape.layers; ++i) add_heads(i, 1, 1, false);
    end_run();
  }
  if (!Has(groups, ParameterGroup::kLora)) return out;
  const int64_t r = student.lora.rank;
  for (int i = 0; i < shape.layers; ++i) {
    for (int p = 0; p < kProjections; ++p) {
      if (!student.lora.projections[p]) continue;
      const auto& [in, to] = shape.projections[p];
      out.push_back({run, i, r * in.size, in.size, r * in.whole, in.shared});
      out.push_back({run, i, to.size * r, r, to.whole * r, to.shared});
    }
  }
  return out;
}

int64_t RankPart::trained_elements() const {
  int64_t total = 0;
  for (const TrainedTensor& t : trained) total += t.size;
  return total;
}

absl::StatusOr<RankPart> PartOf(const StageLayout& layout,
                                const MeshPlace& place) {
  const ModelConfig& model = layout.model;
  const Shard shard{place.tensor, layout.mesh.tensor};
  if (layout.mesh.layer > model.layers) {
    return absl::InvalidArgumentError(
        absl::StrCat(model.layers, " layers cannot be split over ",
                     layout.mesh.layer, " ranks"));
  }
  RankPart part;
  ASSIGN_OR_RETURN(part.split, SplitHeads(model.heads, model.kv_heads, shard));
  part.layers = Shard{place.layer, layout.mesh.layer}.Of(model.layers);
  part.columns = shard.Of(model.intermediate_size);
  part.vocabulary = shard.Of(model.vocab_size);

  const int64_t c = model.hidden_size;
  const int64_t attention =
      2 * (part.split.heads.size() + part.split.kv_heads.size()) *
      model.head_dim * c;
  part.layer_weights =
      part.layers.size() * (attention + 3 * part.columns.size() * c + 2 * c);
  // Of a chain the first rank embeds; nobody looks at the logits.
  const bool chain = layout.mesh.layer > 1;
  if (!chain || place.layer == 0) {
    part.vocabulary_weights += part.vocabulary.size() * c;
  }
  if (!chain) {
    part.vocabulary_weights +=
        c + (model.tie_word_embeddings ? 0 : part.vocabulary.size() * c);
  }

  LlamaWeights shape;  // without weights
  shape.config = model;
  shape.shard = shard;
  shape.split = part.split;
  shape.heads = part.split.heads;
  shape.kv_heads = part.split.kv_heads;
  shape.columns = part.columns;
  shape.vocabulary = part.vocabulary;
  shape.layer_range = part.layers;
  part.trained =
      TrainedTensors(shape.adapter_shape(), layout.student, layout.trained);
  return part;
}

int64_t UpdatedElements(const RankPart& part, int data_ranks, int data_rank) {
  int64_t total = 0;
  for (const BucketPlan& bucket :
       PlanBuckets(part.trained, data_ranks, GradientSync::kBucketElements)) {
    for (const BucketPlan::Range& range : bucket.ranges) {
      total += range.counts[data_rank];
    }
  }
  return total;
}

}  // namespace caracal
