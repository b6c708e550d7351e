#include "jobs/plan/time.h"

#include <algorithm>
#include <cmath>

#include "core/collective/traffic.h"
#include "dist/gradients/gradient_sync.h"
#include "jobs/plan/communication.h"

namespace caracal {
namespace {

// Of matmul_cuda_bench's table: what is left of a product's time beside its
// arithmetic is about half of its memory traffic. Products with W as it lies
// (dx = dy W) take 7% more.
constexpr double kBytesShown = 0.5, kTransposedCost = 1.07;

// Hybrid attention runs a block for each head of 1,024 tokens; so many blocks
// as there are multiprocessors take as long as one (hybrid_attention_cuda_bench
// at T = 1,024 without sinks: 512 blocks, 0.289, 1.676 and 0.821 ms; with D =
// 64 and 4 sinks 144 blocks, 0.132, 0.622 and 0.288 ms, of which sinks are a
// tenth). Where there are fewer, sequences are cut into segments, which then
// cost more: as one of 16,384 tokens does.
struct WaveSeconds {
  double forward, with_backward, transfer;
};
constexpr WaveSeconds kWave128 = {0.072e-3, 0.419e-3, 0.205e-3};
constexpr WaveSeconds kWave64 = {0.061e-3, 0.285e-3, 0.132e-3};
constexpr WaveSeconds kSegmentCost = {1.22, 1.07, 1.11};
constexpr double kBlockTokens = 1024, kSinkCost = 1.09;
constexpr double kMeasuredFeatures = 64;

// Full attention (causal_attention_cuda_bench): the causal half's FLOP at the
// rate of long rows, and a part that does not grow with them.
constexpr double kCausalFlops128 = 709e12, kCausalFlops64 = 454e12;
constexpr double kCausalRowSeconds = 0.208e-9;  // of a head

constexpr double kStreamShare = 0.92;  // of a copy's rate: norms, RoPE

// Losses on attention weights (`caracal bench --loss xent --mode la_only`): 8.8
// TFLOP in 73 ms of the 8B shape's step, 7.5 in 63 of the 135M's. Its feature
// maps and their gradients take what their products take and what each output
// is moved about: 50 and 35 ms.
constexpr double kWeightLossFlops = 120e12, kMapFlops = 16.4e12;
constexpr double kMapOutputSeconds = 14.8e-12;  // of a row and head
// The next layer's teacher runs beside them, and of whichever is shorter a part
// is hidden by the other: an eighth of the 8B step (268 ms, of which the loss
// and the maps take 123 and the teacher 160), half of the 135M's (108: 97 and
// 25). This leaves both within 3%.
constexpr double kHiddenBeside = 0.2;

// The step's work of one micro-batch.
class MicroBatch {
 public:
  MicroBatch(const Machine& machine, const StageLayout& layout,
             const RankPart& part, double rows)
      : machine_(machine),
        layout_(layout),
        n_(rows * static_cast<double>(layout.seq_len)),
        share_(n_ / layout.mesh.tensor),
        c_(static_cast<double>(layout.model.hidden_size)),
        d_(static_cast<double>(layout.model.head_dim)),
        heads_(static_cast<double>(part.split.heads.size())),
        keys_(static_cast<double>(part.split.kv_heads.size())),
        columns_(static_cast<double>(part.columns.size())),
        vocabulary_(static_cast<double>(part.vocabulary.size())) {}

  // Seconds of one layer, here and below.
  double Products(bool output) const {
    double t = Product(n_, (heads_ + 2 * keys_) * d_, c_);
    if (!output) return t;
    t += Product(n_, c_, heads_ * d_);
    t += Product(n_, 2 * columns_, c_);
    return t + Product(n_, c_, columns_);
  }
  double Hybrid(double WaveSeconds::*kind) const {
    const WaveSeconds& wave = d_ > 96 ? kWave128 : kWave64;
    const double full =
        std::ceil(n_ * heads_ / kBlockTokens) / machine_.multiprocessors;
    const double waves =
        full > 1 ? std::ceil(full) : std::min(1.0, full * kSegmentCost.*kind);
    const double sinks = layout_.student.attention.sinks > 0 ? kSinkCost : 1;
    const double features = std::max(
        1.0, static_cast<double>(layout_.student.features) / kMeasuredFeatures);
    return waves * wave.*kind * sinks * features;
  }
  // Queries go over their keys twice and keys over their queries once: scores
  // and the features' products each time, and twice a gradient of features.
  // Maps and their gradient, of queries and keys.
  double WeightLoss() const {
    const double outputs = 16 * std::ceil(FeatureOutputs(layout_) / 16.0);
    const double pairs = n_ * heads_ * static_cast<double>(layout_.seq_len) / 2;
    return 2 * pairs * (3 * (d_ + outputs) + 2 * outputs) / kWeightLossFlops +
           n_ * heads_ *
               (8 * d_ * static_cast<double>(layout_.student.features) /
                    kMapFlops +
                outputs * kMapOutputSeconds);
  }
  double Causal() const {
    const double rate = d_ > 96 ? kCausalFlops128 : kCausalFlops64;
    return n_ * heads_ *
           (2 * static_cast<double>(layout_.seq_len) * d_ / rate +
            kCausalRowSeconds);
  }
  // The norms before attention and before the MLP; RoPE, SwiGLU and its
  // gradient, and the residual's sums are in the products.
  double ForwardRest(bool output) const {
    return Stream(2 * (output ? 2 : 1) * 2 * c_ * share_);
  }
  // SwiGLU's derivatives: a product stores two, another reads them and stores
  // two gradients where it would store one.
  double BackwardRest() const {
    return Stream(2 * (2 * 4 * c_ * share_ + 2 * (heads_ + keys_) * d_ * n_)) +
           kBytesShown * 2 * 5 * columns_ * n_ / machine_.memory_bytes_per_s;
  }
  // Thin products of adapters: passes over what they read.
  double Adapters(double passes) const {
    const auto& has = layout_.student.lora.projections;
    double columns = 0;
    if (has[0] || has[1] || has[2]) columns += c_;
    if (has[3]) columns += heads_ * d_;
    if (has[4] || has[5]) columns += c_;
    if (has[6]) columns += columns_;
    return Stream(2 * passes * columns * n_);
  }
  // Logits and, of a fine-tune, their gradient; statistics read them once, the
  // gradient reads and writes them.
  double Head() const {
    double t = (1 + kTransposedCost) * Product(n_, vocabulary_, c_) +
               Stream(2 * 3 * n_ * vocabulary_);
    if (layout_.logit_kl) {
      t += Product(n_, vocabulary_, c_) + Stream(2 * 5 * n_ * vocabulary_);
    }
    return t;
  }

  // What exchanges by copy engines add to the products beside them
  // (core/model/ops/cuda/rows.h), which run in as many pieces as there are
  // tensor ranks. With `backward` what adapters learn from is kept.
  double ForwardExchanges(bool output, bool backward) const {
    const auto& has = layout_.student.lora.projections;
    double t = Gather((heads_ + 2 * keys_) * d_, c_,
                      backward && (has[0] || has[1] || has[2]));
    if (!output) return t;
    t += Sum(c_, heads_ * d_, true);
    t += Gather(2 * columns_, c_, backward && (has[4] || has[5]));
    return t + Sum(c_, columns_, true);
  }
  // `first`: nobody wants the gradient of the model's first layer's input.
  double BackwardExchanges(bool first) const {
    const auto& has = layout_.student.lora.projections;
    double t = Gather(columns_, c_, has[6]) + Sum(c_, 2 * columns_, false);
    t += Gather(heads_ * d_, c_, has[3]);
    // Gradients' rows are brought to where all are gathered.
    t += 2 * Stream(2 * 2 * c_ * share_);
    return first ? t : t + Sum(c_, (heads_ + 2 * keys_) * d_, false);
  }
  // Without a product.
  double BareGather() const {
    return Start() + Link() + Stream(2 * 2 * c_ * n_);
  }
  double BareSum() const { return Start() + Link() + AddRows(false); }

 private:
  // Of a rank's rows to all others, or of as many from them.
  double Link() const {
    return 2 * c_ * (n_ - share_) / machine_.node_bytes_per_s;
  }
  double Start() const {
    return machine_.start_seconds +
           (layout_.mesh.tensor - 1) * machine_.node_hop_seconds;
  }
  double Split(double n, double k) const {
    return layout_.mesh.tensor * Product(share_, n, k) - Product(n_, n, k);
  }
  double AddRows(bool residual) const {
    return Stream(2 * (layout_.mesh.tensor + 1 + (residual ? 1 : 0)) * c_ *
                  share_);
  }
  // Pieces come from all ranks at once: only the product of the rank's own rows
  // is sure to run before.
  double Gather(double n, double k, bool keep) const {
    return Start() + Split(n, k) +
           std::max(0.0, Link() - Product(share_, n, k)) +
           (keep ? Stream(2 * 2 * c_ * (n_ - share_)) : 0);
  }
  // Each piece goes as soon as it is there; the rank's own is the last.
  double Sum(double n, double k, bool residual) const {
    const double behind = (layout_.mesh.tensor - 1) * Product(share_, n, k);
    return Start() + Split(n, k) + std::max(0.0, Link() - behind) +
           AddRows(residual);
  }
  double Product(double m, double n, double k) const {
    return ProductSeconds(machine_, m, n, k);
  }
  double Stream(double bytes) const {
    return bytes / (kStreamShare * machine_.memory_bytes_per_s);
  }

  const Machine& machine_;
  const StageLayout& layout_;
  const double n_, share_, c_, d_, heads_, keys_, columns_, vocabulary_;
};

// Ranks of a group along `axis` that a node has. Ranks are numbered node by
// node, tensor ranks side by side, then chains.
int PerNode(const Machine& machine, const MeshShape& mesh, MeshAxis axis) {
  int stride = 1;
  if (axis != MeshAxis::kTensor) stride *= mesh.tensor;
  if (axis == MeshAxis::kData) stride *= mesh.layer;
  return std::clamp(machine.gpus_per_node / stride, 1, SizeOf(axis, mesh));
}

// Whether every tensor group lies in a node.
bool TensorInNode(const Machine& machine, const MeshShape& mesh) {
  return mesh.ranks() <= machine.gpus_per_node ||
         machine.gpus_per_node % mesh.tensor == 0;
}

// What tensor ranks of a node add to a micro-batch.
double NodeExchanges(const Machine& machine, const StageLayout& layout,
                     const RankPart& part, const MeshPlace& place,
                     const MicroBatch& one, int64_t rows) {
  const MeshShape& mesh = layout.mesh;
  const double layers = static_cast<double>(part.layers.size());
  const double embedding = place.layer == 0 ? one.BareSum() : 0;
  const bool ends = place.layer + 1 == mesh.layer;
  if (layout.transfer) {
    return embedding + (layers - ends) * one.ForwardExchanges(true, false) +
           static_cast<double>(ends) * one.ForwardExchanges(false, false);
  }
  const auto forward = [&](bool backward) {
    return embedding + layers * one.ForwardExchanges(true, backward) +
           one.BareGather();
  };
  // The loss's sums go over NCCL.
  const StreamOperations ops = StreamOperationsOf(layout, place);
  const int64_t tokens = rows * layout.seq_len;
  const int64_t chunks = (tokens + kGpuLossRows - 1) / kGpuLossRows;
  const uint64_t bytes = AllReduceTraffic(
      tokens * (ops.target_sums * static_cast<int64_t>(sizeof(float)) +
                ops.row_sums * layout.model.hidden_size * layout.value_bytes),
      1, place.tensor, mesh.tensor);
  return forward(true) + (layout.logit_kl ? forward(false) : 0) +
         one.BackwardExchanges(true) +
         (layers - 1) * one.BackwardExchanges(false) +
         machine.RingSeconds(bytes, chunks * (ops.target_sums + ops.row_sums),
                             mesh.tensor, mesh.tensor);
}

int64_t DataCollectives(const RankPart& part, int data_ranks) {
  int64_t count = 0;
  for (const BucketPlan& bucket :
       PlanBuckets(part.trained, data_ranks, GradientSync::kBucketElements)) {
    count += static_cast<int64_t>(bucket.ranges.size());
  }
  return count;
}

}  // namespace

double ProductSeconds(const Machine& machine, double m, double n, double k) {
  return machine.launch_seconds + 2 * m * n * k / machine.matrix_flops +
         kBytesShown * 2 * (m * n + m * k + n * k) / machine.memory_bytes_per_s;
}

TimeEstimate EstimateTime(const Machine& machine, const StageLayout& layout,
                          const RankPart& part, const MeshPlace& place,
                          const GangTraffic& traffic) {
  const MeshShape& mesh = layout.mesh;
  const double layers = static_cast<double>(part.layers.size());
  const bool ends = place.layer + 1 == mesh.layer;
  const bool in_node = TensorInNode(machine, mesh);
  TimeEstimate out;
  const std::vector<int64_t> batches = layout.MicroBatches();
  double last = 0;  // of the last micro-batch, what hides the gradients
  for (const int64_t rows : batches) {
    const MicroBatch one(machine, layout, part, static_cast<double>(rows));
    TimeEstimate now;
    if (layout.transfer) {
      // Nobody reads the last layer's output.
      now.products = (layers - ends) * one.Products(true) +
                     static_cast<double>(ends) * one.Products(false);
      now.attention = layers * one.Causal();
      if (layout.output_loss) {
        now.attention += layers * one.Hybrid(&WaveSeconds::transfer);
      }
      now.rest = (layers - ends) * one.ForwardRest(true) +
                 static_cast<double>(ends) * one.ForwardRest(false);
      if (layout.weight_loss) {
        const double student = layers * one.WeightLoss();
        const double teacher = now.products + layers * one.Causal() + now.rest;
        now.attention += student - kHiddenBeside * std::min(student, teacher);
      }
    } else {
      now.products = layers * one.Products(true) * (1 + kTransposedCost);
      now.attention = layers * one.Hybrid(&WaveSeconds::with_backward);
      now.rest = layers *
                 (one.ForwardRest(true) + one.BackwardRest() + one.Adapters(7));
      if (layout.logit_kl) {
        now.products += layers * one.Products(true);
        now.attention += layers * one.Causal();
        now.rest += layers * one.ForwardRest(true);
      }
      now.loss = one.Head();
    }
    last = now.products + now.attention + now.rest;
    out.products += now.products;
    out.attention += now.attention;
    out.rest += now.rest;
    out.loss += now.loss;
    if (mesh.tensor > 1 && in_node) {
      out.tensor += NodeExchanges(machine, layout, part, place, one, rows);
    }
  }
  const int64_t micro_batches = static_cast<int64_t>(batches.size());
  if (mesh.tensor > 1 && in_node) {
    // What several ranks train is summed once a step.
    const uint64_t shared = AllReduceTraffic(
        SharedElements(part), sizeof(float), place.tensor, mesh.tensor);
    out.tensor += machine.RingSeconds(shared, shared > 0 ? 1 : 0, mesh.tensor,
                                      mesh.tensor);
  } else {
    const StreamOperations ops = StreamOperationsOf(layout, place);
    out.tensor = machine.RingSeconds(
        traffic.tensor,
        micro_batches *
            (ops.gathers + ops.sums + ops.target_sums + ops.row_sums),
        mesh.tensor, PerNode(machine, mesh, MeshAxis::kTensor));
  }

  const double moments =
      static_cast<double>(UpdatedElements(part, mesh.data, place.data));
  // Reads value, gradient and moments, writes value, moments and a bf16 copy;
  // the norm reads the gradient.
  out.optimizer =
      (34 * moments + 4 * static_cast<double>(part.trained_elements())) /
      (kStreamShare * machine.memory_bytes_per_s);
  if (mesh.data > 1) {
    const double values =
        machine.RingSeconds(traffic.data / 2, DataCollectives(part, mesh.data),
                            mesh.data, PerNode(machine, mesh, MeshAxis::kData));
    // The backward part of the last micro-batch is two thirds of it.
    const double hidden = layout.transfer ? last : 2 * last / 3;
    out.data = values + std::max(0.0, values - hidden);
  }
  if (mesh.layer > 1) {
    const double work = out.products + out.attention + out.rest + out.tensor;
    const double links = machine.RingSeconds(
        traffic.layer, micro_batches, 2,
        std::min(2, PerNode(machine, mesh, MeshAxis::kLayer)));
    out.layer = std::max(0.0, links - work);
    out.start =
        (work + links) / static_cast<double>(micro_batches) * (mesh.layer - 1);
  }
  // Five or six sums of a few numbers, one after another.
  out.world = (layout.transfer ? 5 : 6) * machine.SumSeconds(mesh.ranks());
  return out;
}

}  // namespace caracal
