#include "jobs/plan/memory.h"

#include <algorithm>

namespace caracal {
namespace {

constexpr uint64_t kBf16 = 2, kFloat = 4;
constexpr uint64_t kMebibyte = uint64_t{1} << 20;
// With a context a GPU has about half a GiB less; NCCL's buffers are assumed.
constexpr uint64_t kContext = 500 * kMebibyte, kNccl = 1024 * kMebibyte;
constexpr double kWeightPartRows = 512;  // whose gradients are one part

// Elements of a token's q, k, v of this rank.
int64_t QkvWidth(const StageLayout& layout, const RankPart& part) {
  return (part.split.heads.size() + 2 * part.split.kv_heads.size()) *
         layout.model.head_dim;
}

// What a layer keeps of a token: the stream before both norms, of which a
// tensor rank has its share; the first's output, which a fine-tune keeps whole;
// q, k, v; attention's output; in a fine-tune SwiGLU's derivatives; and in fp32
// the norms' scales and attention's denominators.
double BytesPerToken(const StageLayout& layout, const RankPart& part) {
  const double share = 1.0 / layout.mesh.tensor;
  const double heads = static_cast<double>(part.split.heads.size());
  const double stream = (2 * share + (layout.transfer ? share : 1)) *
                        static_cast<double>(layout.model.hidden_size);
  const double own =
      static_cast<double>(QkvWidth(layout, part)) +
      heads * static_cast<double>(layout.model.head_dim) +
      (layout.transfer ? 0 : 2) * static_cast<double>(part.columns.size());
  return kBf16 * (stream + own) + kFloat * (2 * share + 2 * heads);
}

// What a student's gradients take of a token and head while the next layer's
// teacher runs beside it. By outputs: that of y, of both feature maps, and five
// fp32 numbers a row. By weights, in fp32: features and their gradients, seven
// numbers a row, and a part of the maps' gradients; and features in bf16. One
// after the other uses the same memory.
double StudentBytesPerToken(const StageLayout& layout, const RankPart& part) {
  constexpr double kFeatures = 64;  // padded
  const double d = static_cast<double>(layout.model.head_dim);
  double bytes = 0;
  if (layout.output_loss) {
    bytes = kBf16 * (d + 2 * kFeatures) + 5 * kFloat;
  }
  if (layout.weight_loss) {
    const double parts = (d + 1) *
                         static_cast<double>(layout.student.features) /
                         kWeightPartRows;
    const double outputs = static_cast<double>(FeatureOutputs(layout));
    bytes = std::max(bytes,
                     kFloat * (4 * outputs + 7 + parts) + kBf16 * 2 * outputs);
  }
  return static_cast<double>(part.split.heads.size()) * bytes;
}

}  // namespace

MemoryEstimate EstimateMemory(const StageLayout& layout, const RankPart& part,
                              const MeshPlace& place) {
  const ModelConfig& model = layout.model;
  const int64_t tokens = layout.micro_rows * layout.seq_len;
  const double n = static_cast<double>(tokens);
  const int64_t width = QkvWidth(layout, part);
  const int64_t outputs = part.split.heads.size() * model.head_dim;
  MemoryEstimate out;
  out.layer_weights = kBf16 * part.layer_weights;
  out.vocabulary_weights = kBf16 * part.vocabulary_weights;
  out.trained =
      (kFloat + kBf16 + kFloat) * part.trained_elements() +
      2 * kFloat * UpdatedElements(part, layout.mesh.data, place.data);
  // In a transfer layers learn one after another: one's is kept at a time.
  const int64_t kept = layout.transfer ? 1 : part.layers.size();
  out.activations = static_cast<uint64_t>(static_cast<double>(kept) * n *
                                          BytesPerToken(layout, part));
  const int ahead = layout.mesh.layer - 1 - place.layer;
  if (layout.transfer && layout.mesh.layer > 1) {
    // q, k, v and the teacher's output of every layer, of the micro-batches
    // ahead and the one at hand.
    out.ahead = static_cast<uint64_t>(ahead + 1) * part.layers.size() * tokens *
                (width + outputs) * kBf16;
  }
  // Streams and their gradients, normed rows, and with tensor ranks all rows
  // together on their way in and out; the MLP's inner values; of a fine-tune
  // the gradients of q, k, v and attention's output, and logits.
  const int64_t streams = layout.transfer ? 3 : 7;
  int64_t columns =
      streams * model.hidden_size / layout.mesh.tensor + part.columns.size();
  if (layout.mesh.tensor > 1) columns += 2 * model.hidden_size;
  if (!layout.transfer) columns += width + outputs;
  out.scratch = kBf16 * tokens * columns;
  if (layout.transfer) {
    out.scratch +=
        static_cast<uint64_t>(n * StudentBytesPerToken(layout, part));
  }
  if (!layout.transfer) {
    out.scratch += (layout.logit_kl ? 2 : 1) * kBf16 *
                   std::min(tokens, kGpuLossRows) * part.vocabulary.size();
  }
  out.runtime = kContext + (layout.mesh.ranks() > 1 ? kNccl : 0);
  return out;
}

uint64_t CheckpointBytes(const StageLayout& layout, const RankPart& part,
                         const MeshPlace& place) {
  return 3 * kFloat * UpdatedElements(part, layout.mesh.data, place.data);
}

}  // namespace caracal
