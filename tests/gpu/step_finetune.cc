// A LoRA fine-tune step: forward with hybrid attention and adapters (rank 8 on
// q, k, v, o, folded into the projections), the loss over parts of the
// vocabulary, and backward.
//
// Of tensor ranks, A of q, k, v and B of o are everywhere: their gradients are
// sums over the ranks' heads. So is o's low-rank product, which the sum over
// its split products contains.
#include <algorithm>

#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/lora/lora_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/swiglu/swiglu_cuda.h"
#include "tests/gpu/step_model.h"

namespace caracal::kernels {
namespace {

using testing::VectorView;

// Adapters of q, k, v on one projection: a size, and where its outputs begin.
struct Adapter {
  int64_t out, begin;
};

std::vector<Adapter> QkvAdapters(const Shape& s) {
  return {{s.q(), 0}, {s.kv(), s.q()}, {s.kv(), s.q() + s.kv()}};
}

}  // namespace

void Model::AddFinetune() {
  const Place& place = ranks.place();
  const int at = place.tensor_rank;
  for (int64_t i = 0; i < s.layers; ++i) {
    for (const Adapter& a : QkvAdapters(s)) {
      trained.Add(s.rank, s.hidden, {0, s.rank, 0, s.hidden});
      trained.Add(a.out * place.tensor, s.rank, {at * a.out, a.out, 0, s.rank});
    }
    trained.Add(s.rank, options.shape.q(), {0, s.rank, at * s.q(), s.q()});
    trained.Add(s.hidden, s.rank, {0, s.hidden, 0, s.rank});
  }
  head = Bf16(s.vocabulary * s.hidden);
  {
    const Bf16 all =
        RandomOnDevice<uint16_t>(options.shape.vocabulary * s.hidden, 0.02, 11);
    CopyBlock(all.data(), s.hidden,
              {at * s.vocabulary, s.vocabulary, 0, s.hidden}, head.data(),
              s.hidden);
  }
  loss_rows = std::min(kLossRows * place.tensor, ChunkRows());
  logits = Bf16(loss_rows * s.vocabulary);
  dx = Bf16(rows * Wide());
  Layer::Zero(dx);
  dy = Bf16(rows * s.hidden);
  da = Bf16(rows * s.q());
  dqkv = Bf16(rows * (s.qkv() + 3 * s.rank));
  final_x = Bf16(rows / place.tensor * s.hidden);
  final_inv = F32(rows / place.tensor);
  nll = F32(rows);
  chunk_dens = F32(2 * s.H * ChunkRows());
  for (F32* v : {&own_max, &row_max, &sum_exp, &lse}) {
    *v = F32(2 * loss_rows);  // sum_exp and target_logit: one array, below
  }
  weight = F32(std::vector<float>(
      loss_rows, 1.0f / static_cast<float>(rows * place.data)));
  std::vector<int32_t> ids(rows);
  for (int64_t r = 0; r < rows; ++r) {
    ids[r] = (place.data_rank * rows + r) * 7919 % options.shape.vocabulary;
  }
  targets = DeviceArray<int32_t>(ids);
}

void Model::Finetune() {
  for (int chunk = 0; chunk < options.chunks; ++chunk) {
    NormBeforeAttention(0, chunk);
  }
  std::vector<Segment> segments;
  for (int64_t i = 0; i < s.layers; ++i) {
    segments.push_back(FinetuneAttention(i));
    segments.push_back(Mlp(i, [=, this](int chunk) {
      if (i + 1 < s.layers) {
        NormBeforeAttention(i + 1, chunk);
        return;
      }
      AddNorm(layers[i].x2, final_x, Mine(y2, chunk, s.hidden), final_inv,
              chunk);
      tickets[chunk] = ranks.Gather(All(y2, chunk, s.hidden), chunk);
    }));
  }
  segments.push_back(Head());
  for (int64_t i = s.layers - 1; i >= 0; --i) {
    segments.push_back(MlpBackward(i));
    segments.push_back(AttentionBackward(i));
  }
  Run(segments);
}

void Model::Fold(int64_t i) {
  const Layer& w = layers[i];
  const int64_t width = QkvWidth();
  int64_t at = 8 * i, j = 0;
  for (const Adapter& a : QkvAdapters(s)) {
    LoraFoldCuda(ctx, trained.Param(at, {s.rank, s.hidden}),
                 trained.Param(at + 1, {a.out, s.rank}), kLoraScale,
                 View(w.qkv_weight, s.rank, s.hidden, width,
                      (s.qkv() + j * s.rank) * width),
                 View(w.qkv_weight, a.out, s.rank, width,
                      a.begin * width + s.hidden + j * s.rank));
    at += 2;
    ++j;
  }
  LoraFoldCuda(ctx, trained.Param(at, {s.rank, s.q()}),
               trained.Param(at + 1, {s.hidden, s.rank}), kLoraScale,
               View(w.o_weight, s.rank, s.q(), s.q() + s.rank,
                    s.hidden * (s.q() + s.rank)),
               View(w.o_weight, s.hidden, s.rank, s.q() + s.rank, s.q()));
}

Model::Segment Model::FinetuneAttention(int64_t i) {
  Segment segment;
  segment.first = [=, this](int chunk) {
    const Layer& w = layers[i];
    if (chunk == 0) Fold(i);
    ranks.Wait(tickets[chunk]);
    LoraFoldedForwardCuda(ctx, plans, All(w.y1, chunk, QkvWidth()),
                          QkvWeight(w), 3 * s.rank, All(w.qkv, chunk, s.qkv()),
                          Products());
    Rotate(w.qkv, chunk, s.qkv(), false);
    const int64_t n = ChunkRows();
    const F32& dens = options.chunks == 1 ? w.dens : chunk_dens;
    HybridAttentionOutputs out;
    out.y = Q(w.a, chunk, s.q() + s.rank);
    out.softmax_den = TensorView(dens.data(), {s.H, n});
    out.linear_den = TensorView(dens.data() + s.H * n, {s.H, n});
    HybridAttentionForwardCuda(ctx, config, Inputs(w.qkv, chunk), nullptr, out,
                               Attention());
    if (options.chunks == 1) return;
    // To its place among all rows', as the backward takes them.
    CARACAL_CUDA_CHECK(
        cudaMemcpy2DAsync(w.dens.data() + chunk * n, rows * sizeof(float),
                          dens.data(), n * sizeof(float), n * sizeof(float),
                          2 * s.H, cudaMemcpyDeviceToDevice, ranks.stream()));
  };
  segment.second = [=, this](int chunk) {
    const Layer& w = layers[i];
    LoraFoldedForwardCuda(ctx, plans, All(w.a, chunk, s.q() + s.rank),
                          OWeight(w), s.rank, All(delta, chunk, s.hidden),
                          Products());
    tickets[chunk] = ranks.Reduce(All(delta, chunk, s.hidden), chunk);
  };
  segment.join = [=, this](int chunk) { NormBeforeMlp(i, chunk); };
  return segment;
}

// The loss, and the gradient of the final norm's output, of rows that begin
// there.
void Model::LossOfRows(int64_t begin, int64_t n) {
  const Place& place = ranks.place();
  const int32_t vocab_begin = place.tensor_rank * s.vocabulary;
  const TensorView y = View(y2, n, s.hidden, 0, begin * s.hidden);
  const TensorView l = View(logits, n, s.vocabulary);
  const TensorView ids(targets.data() + begin, {n});
  const auto first = [&](const F32& v) { return TensorView(v.data(), {n}); };
  const TensorView sum(sum_exp.data(), {n}), target(sum_exp.data() + n, {n});
  Product(y, View(head, s.vocabulary, s.hidden), l);
  CrossEntropyStatisticsCuda(ctx, l, ids, vocab_begin, first(row_max), sum,
                             target, {});
  if (place.tensor > 1) {
    CARACAL_CUDA_CHECK(cudaMemcpyAsync(own_max.data(), row_max.data(), n * 4,
                                       cudaMemcpyDeviceToDevice,
                                       ranks.stream()));
    ranks.Wait(ranks.Max(first(row_max)));
    CrossEntropyRescaleCuda(ctx, first(own_max), first(row_max), sum);
    ranks.Wait(ranks.Sum(TensorView(sum_exp.data(), {2 * n})));
  }
  CrossEntropyLossCuda(ctx, first(row_max), sum, target, first(lse),
                       TensorView(nll.data() + begin, {n}));
  CrossEntropyGradientCuda(ctx, l, ids, vocab_begin, first(lse), first(weight));
  ProductBack(l, View(head, s.vocabulary, s.hidden),
              View(dy, n, s.hidden, 0, begin * s.hidden));
}

Model::Segment Model::Head() {
  Segment segment;
  segment.first = [=, this](int chunk) {
    ranks.Wait(tickets[chunk]);
    for (int64_t at = 0; at < ChunkRows(); at += loss_rows) {
      LossOfRows(chunk * ChunkRows() + at,
                 std::min(loss_rows, ChunkRows() - at));
    }
  };
  segment.second = [=, this](int chunk) {
    tickets[chunk] = ranks.Reduce(All(dy, chunk, s.hidden), chunk);
  };
  segment.join = [=, this](int chunk) {
    NormBackward(final_x, final_inv, chunk, false);
  };
  return segment;
}

// The stream's gradient (added to, or written) from dy, gathered.
void Model::NormBackward(const Bf16& x, const F32& inv, int chunk,
                         bool accumulate) {
  const TensorView part = Mine(dy, chunk, s.hidden);
  const ConstTensorView rest = ranks.WaitForRest(tickets[chunk], part);
  RmsNormBackwardCuda(ctx, part, Own(x, chunk), VectorView(ones),
                      Own(inv, chunk), accumulate,
                      Mine(dx, chunk, s.hidden, Wide()), {}, {}, rest);
  tickets[chunk] = ranks.Gather(All(dx, chunk, Wide()), chunk);
}

// Gate and up become their gradients.
Model::Segment Model::MlpBackward(int64_t i) {
  Segment segment;
  segment.first = [=, this](int chunk) {
    const Layer& w = layers[i];
    ranks.Wait(tickets[chunk]);
    ProductBack(All(dx, chunk, s.hidden, Wide()),
                View(w.down_weight, s.hidden, s.inner), All(h, chunk, s.inner));
    const TensorView gate = Columns(w.gate_up, chunk, 0, s.inner, 2 * s.inner);
    const TensorView up =
        Columns(w.gate_up, chunk, s.inner, s.inner, 2 * s.inner);
    SwigluBackwardCuda(ctx, All(h, chunk, s.inner), gate, up, gate, up);
  };
  segment.second = [=, this](int chunk) {
    const Layer& w = layers[i];
    ProductBack(All(w.gate_up, chunk, 2 * s.inner),
                View(w.up_weight, 2 * s.inner, s.hidden),
                All(dy, chunk, s.hidden));
    tickets[chunk] = ranks.Reduce(All(dy, chunk, s.hidden), chunk);
  };
  segment.join = [=, this](int chunk) {
    NormBackward(layers[i].x2, layers[i].inv2, chunk, true);
  };
  return segment;
}

// Attention takes all rows at once, which fills the chip best: o's part of the
// last chunk's first half goes before it, and the projections' parts follow.
Model::Segment Model::AttentionBackward(int64_t i) {
  Segment segment;
  segment.first = [=, this](int chunk) {
    ranks.Wait(tickets[chunk]);
    LoraFoldedBackwardCuda(ctx, plans, All(dx, chunk, Wide()),
                           OWeight(layers[i]), s.rank, false,
                           All(da, chunk, s.q()), Products());
    if (chunk + 1 < options.chunks) return;
    OutputGradients(i, chunk);
    HybridBackward(i);
    const int64_t width = s.qkv() + 3 * s.rank;
    for (int c = 0; c < options.chunks; ++c) {
      LoraFoldedBackwardCuda(ctx, plans, All(dqkv, c, width),
                             QkvWeight(layers[i]), 3 * s.rank, false,
                             All(dy, c, s.hidden), Products());
      tickets[c] = ranks.Reduce(All(dy, c, s.hidden), c);
    }
  };
  // What nobody waits for, while rows are under way.
  segment.second = [=, this](int chunk) {
    chunk + 1 < options.chunks ? OutputGradients(i, chunk) : QkvGradients(i);
  };
  segment.join = [=, this](int chunk) {
    NormBackward(layers[i].x1, layers[i].inv1, chunk, true);
  };
  segment.after = [=, this] {
    if (i % kBucketLayers != 0) return;
    const int64_t end = std::min(i + kBucketLayers, s.layers);
    trained.AddRanks(8 * i, 8 * end);
  };
  return segment;
}

void Model::HybridBackward(int64_t i) {
  const Layer& w = layers[i];
  const int64_t width = s.qkv() + 3 * s.rank;
  HybridAttentionCotangent cotangent;
  cotangent.dy = Q(da, -1, s.q());
  HybridAttentionGradients grads;
  grads.dq = Q(dqkv, -1, width), grads.dk = K(dqkv, -1, width);
  grads.dv = V(dqkv, -1, width);
  const HybridAttentionSaved saved = {
      Q(w.a, -1, s.q() + s.rank), TensorView(w.dens.data(), {s.H, rows}),
      TensorView(w.dens.data() + s.H * rows, {s.H, rows})};
  HybridAttentionBackwardCuda(ctx, config, Inputs(w.qkv, -1), cotangent, grads,
                              Attention(), CudaVersion::kBest, &saved);
  Rotate(dqkv, -1, width, true);
}

void Model::OutputGradients(int64_t i, int chunk) {
  const Layer& w = layers[i];
  const int64_t width = s.q() + s.rank, o = 8 * i + 6;
  LoraGradientsCuda(ctx, plans, All(dx, chunk, s.hidden, Wide()),
                    All(w.a, chunk, s.q(), width),
                    Columns(w.a, chunk, s.q(), s.rank, width),
                    Columns(dx, chunk, s.hidden, s.rank, Wide()), kLoraScale,
                    trained.Grad(o, {s.rank, s.q()}),
                    trained.Grad(o + 1, {s.hidden, s.rank}), Products());
}

void Model::QkvGradients(int64_t i) {
  const Layer& w = layers[i];
  const int64_t width = s.qkv() + 3 * s.rank;
  int64_t at = 8 * i, j = 0;
  for (const Adapter& a : QkvAdapters(s)) {
    LoraGradientsCuda(
        ctx, plans, View(dqkv, rows, a.out, width, a.begin),
        View(w.y1, rows, s.hidden, QkvWidth()),
        View(w.y1, rows, s.rank, QkvWidth(), s.hidden + j * s.rank),
        View(dqkv, rows, s.rank, width, s.qkv() + j * s.rank), kLoraScale,
        trained.Grad(at, {s.rank, s.hidden}),
        trained.Grad(at + 1, {a.out, s.rank}), Products());
    at += 2;
    ++j;
  }
}

}  // namespace caracal::kernels
