#include "jobs/plan/communication.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/collective/traffic.h"
#include "core/model/ops/lm_loss.h"
#include "dist/gradients/gradient_sync.h"

namespace caracal {
namespace {

constexpr uint64_t kFloat = sizeof(float);

bool HasAdapter(const StageLayout& layout,
                std::initializer_list<ProjectionName> names) {
  return std::any_of(names.begin(), names.end(), [&](ProjectionName name) {
    return layout.student.lora.projections[static_cast<int>(name)];
  });
}

// Bytes of what every rank tells all others in a step: whether it is to stop
// (a double), and of a curriculum p, W, whether they are held, and whether they
// could be had; whether its rows could be read (2 codes); of the losses 5 sums
// and 3 of each layer; whether its pass failed, and its gradient's squares by
// layer; a fine-tune's targets; whether it is time for a checkpoint.
int64_t WorldBytes(const StageLayout& layout) {
  constexpr int64_t kDouble = sizeof(double);
  const int64_t layers = layout.model.layers;
  return kDouble + 8 + (5 + 3 * layers) * kDouble + (1 + layers) * kDouble +
         (layout.curriculum ? 4 * kDouble : 0) +
         (layout.transfer ? 0 : kDouble) + (layout.by_clock ? kDouble : 0);
}

uint64_t TensorBytes(const StageLayout& layout, const RankPart& part,
                     const MeshPlace& place,
                     const std::vector<BucketPlan>& buckets) {
  const int ranks = layout.mesh.tensor, rank = place.tensor;
  if (ranks == 1) return 0;
  const int64_t c = layout.model.hidden_size;
  const StreamOperations ops = StreamOperationsOf(layout, place);
  uint64_t bytes = 0;
  for (const int64_t rows : layout.MicroBatches()) {
    const int64_t tokens = rows * layout.seq_len;
    std::vector<int64_t> counts = EvenCounts(tokens, ranks);
    for (int64_t& count : counts) count *= c;
    bytes += ops.gathers * AllGatherTraffic(counts, layout.value_bytes, rank);
    bytes += ops.sums * ReduceScatterTraffic(counts, layout.value_bytes, rank);
    for (int64_t at = 0; at < tokens; at += kLmLossChunk) {
      const int64_t n = std::min(kLmLossChunk, tokens - at);
      bytes += ops.target_sums * AllReduceTraffic(n, kFloat, rank, ranks);
      bytes += ops.row_sums *
               AllReduceTraffic(n * c, layout.value_bytes, rank, ranks);
    }
  }
  for (const BucketPlan& bucket : buckets) {
    int64_t shared = 0;
    for (const int i : bucket.tensors) {
      if (part.trained[i].shared) shared += part.trained[i].whole;
    }
    bytes += AllReduceTraffic(shared, kFloat, rank, ranks);
  }
  return bytes;
}

uint64_t DataBytes(const MeshShape& mesh, const MeshPlace& place,
                   const std::vector<BucketPlan>& buckets) {
  uint64_t bytes = 0;
  if (mesh.data == 1) return bytes;
  for (const BucketPlan& bucket : buckets) {
    for (const BucketPlan::Range& range : bucket.ranges) {
      bytes += ReduceScatterTraffic(range.counts, kFloat, place.data);
      bytes += AllGatherTraffic(range.counts, kFloat, place.data);
    }
  }
  return bytes;
}

uint64_t LayerBytes(const StageLayout& layout, const MeshPlace& place) {
  uint64_t bytes = 0;
  if (place.layer + 1 == layout.mesh.layer) return bytes;
  for (const int64_t rows : layout.MicroBatches()) {
    bytes +=
        EvenCount(rows * layout.seq_len, layout.mesh.tensor, place.tensor) *
        layout.model.hidden_size * layout.value_bytes;
  }
  return bytes;
}

}  // namespace

StreamOperations StreamOperationsOf(const StageLayout& layout,
                                    const MeshPlace& place) {
  const int64_t layers =
      Shard{place.layer, layout.mesh.layer}.Of(layout.model.layers).size();
  StreamOperations ops;
  // Forward: each layer gathers before q, k, v and before the MLP, and sums
  // after attention and after the MLP; the embedding is a sum.
  ops.gathers = 2 * layers;
  ops.sums = 2 * layers + (place.layer == 0 ? 1 : 0);
  if (layout.transfer) {
    if (place.layer + 1 == layout.mesh.layer) {
      ops.gathers -= 1;  // The last layer's output goes nowhere.
      ops.sums -= 2;
    }
    return ops;
  }
  const StreamOperations forward = ops;
  // Backward: the gradient is gathered before both projections that end in the
  // stream, and summed behind both that begin there, of the first layer only
  // the MLP's; adapters there want the normed rows once more, which GPUs keep.
  ops.gathers += 2 * layers;
  ops.sums += 2 * layers - 1;
  if (!layout.on_gpus &&
      HasAdapter(layout, {ProjectionName::kQ, ProjectionName::kK,
                          ProjectionName::kV})) {
    ops.gathers += layers;
  }
  if (!layout.on_gpus &&
      HasAdapter(layout, {ProjectionName::kGate, ProjectionName::kUp})) {
    ops.gathers += layers;
  }
  // The loss: maximum, sum and the target's logit of each row.
  ops.gathers += 1;
  ops.target_sums = 3;
  ops.row_sums = 1;
  if (layout.logit_kl) {
    ops.gathers += forward.gathers + 1;
    ops.sums += forward.sums;
    ops.target_sums += 4;
  }
  return ops;
}

int64_t SharedElements(const RankPart& part) {
  int64_t shared = 0;
  for (const TrainedTensor& t : part.trained) {
    if (t.shared) shared += t.whole;
  }
  return shared;
}

GangTraffic StepTraffic(const StageLayout& layout, const RankPart& part,
                        const MeshPlace& place) {
  const std::vector<BucketPlan> buckets = PlanBuckets(
      part.trained, layout.mesh.data, GradientSync::kBucketElements);
  return {
      .tensor = TensorBytes(layout, part, place, buckets),
      .data = DataBytes(layout.mesh, place, buckets),
      .layer = LayerBytes(layout, place),
      .world = AllGatherBytesTraffic(WorldBytes(layout), layout.mesh.ranks())};
}

TrafficFormulas FormulasOf(const StageLayout& layout, const MeshPlace& place) {
  const MeshShape& mesh = layout.mesh;
  TrafficFormulas out;
  if (mesh.tensor > 1) {
    const StreamOperations ops = StreamOperationsOf(layout, place);
    const std::string value = absl::StrCat(layout.value_bytes, " C");
    out.tensor =
        absl::StrCat(value, " (", ops.gathers, " G + ", ops.sums, " S)");
    if (ops.row_sums > 0) {
      absl::StrAppend(&out.tensor, " + (", value, " + ",
                      ops.target_sums * static_cast<int64_t>(kFloat), ") A(n)");
    }
    absl::StrAppend(&out.tensor, " + 4 A(s)");
  }
  if (mesh.data > 1) out.data = "4 (N - u) + 4 u (D - 1)";
  if (mesh.layer > 1) {
    out.layer = absl::StrCat(layout.value_bytes, " C r, the last of a chain 0");
  }
  if (mesh.ranks() > 1) {
    out.world = absl::StrCat(WorldBytes(layout), " (ranks - 1)");
  }
  return out;
}

std::string SymbolWords(const StageLayout& layout) {
  const MeshShape& mesh = layout.mesh;
  std::string words;
  if (mesh.tensor > 1) {
    const int64_t tokens = layout.rows / mesh.data * layout.seq_len;
    absl::StrAppend(&words, "C = ", layout.model.hidden_size,
                    ", T = ", mesh.tensor, ", n = ", tokens,
                    " tokens of a data rank, r a rank's share of them, "
                    "G = r (T - 1), S = n - r, A(x) = 2 x (T - 1)/T, s trained "
                    "elements that several tensor ranks hold");
  } else if (mesh.layer > 1) {
    absl::StrAppend(&words, "C = ", layout.model.hidden_size,
                    ", r = ", layout.rows / mesh.data * layout.seq_len,
                    " tokens of a data rank");
  }
  if (mesh.data > 1) {
    absl::StrAppend(&words, words.empty() ? "" : "; ", "D = ", mesh.data,
                    ", N elements that a rank trains, u those of them that it "
                    "updates");
  }
  return words;
}

}  // namespace caracal
