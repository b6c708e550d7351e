// A transfer step: each layer's forward with full causal attention, whose
// output is the target of hybrid attention's feature maps.
#include "kernels/causal_attention/causal_attention_cuda.h"
#include "tests/gpu/step_model.h"

namespace caracal::kernels {

void Model::AddTransfer() {
  const int at = ranks.place().tensor_rank;
  const int64_t columns = s.D * s.F;
  for (int64_t i = 0; i < s.layers; ++i) {
    for (const int64_t width : {columns, columns, int64_t{1}}) {
      trained.Add(options.shape.H, width, {at * s.H, s.H, 0, width});
    }
  }
}

void Model::Transfer() {
  CARACAL_CUDA_CHECK(
      cudaMemsetAsync(error.data(), 0, sizeof(double), ranks.stream()));
  for (int chunk = 0; chunk < options.chunks; ++chunk) {
    NormBeforeAttention(0, chunk);
  }
  std::vector<Segment> segments;
  for (int64_t i = 0; i < s.layers; ++i) {
    segments.push_back(TransferAttention(i));
    segments.push_back(Mlp(i, [=, this](int chunk) {
      if (i + 1 < s.layers) NormBeforeAttention(i + 1, chunk);
    }));
  }
  Run(segments);
}

Model::Segment Model::TransferAttention(int64_t i) {
  Segment segment;
  segment.first = [=, this](int chunk) {
    const Layer& w = *work;
    ranks.Wait(tickets[chunk]);
    Product(All(w.y1, chunk, s.hidden),
            View(layers[i].qkv_weight, s.qkv(), s.hidden, QkvWidth()),
            All(w.qkv, chunk, s.qkv()));
    Rotate(w.qkv, chunk, s.qkv(), false);
    const HybridAttentionInputs in = Inputs(w.qkv, chunk);
    CausalAttentionInputs full;
    full.q = in.q, full.k = in.k, full.v = in.v;
    full.offsets = in.offsets;
    full.sequences = in.sequences;
    CausalAttentionForwardCuda(ctx, full, Q(w.a, chunk, s.q()), {},
                               Attention());
  };
  segment.second = [=, this](int chunk) {
    Product(All(work->a, chunk, s.q()),
            View(layers[i].o_weight, s.hidden, s.q(), s.q() + s.rank),
            All(delta, chunk, s.hidden));
    tickets[chunk] = ranks.Reduce(All(delta, chunk, s.hidden), chunk);
  };
  segment.join = [=, this](int chunk) { NormBeforeMlp(i, chunk); };
  // Nobody waits for the student, and all rows at once fill the chip best.
  segment.after = [=, this] {
    HybridAttentionInputs in = Inputs(work->qkv, -1);
    in.weight_q = trained.Param(3 * i, {s.H, s.D, s.F});
    in.weight_k = trained.Param(3 * i + 1, {s.H, s.D, s.F});
    const double elements =
        static_cast<double>(rows) * ranks.place().data * options.shape.q();
    HybridAttentionCotangent cotangent;
    cotangent.target = Q(work->a, -1, s.q());
    cotangent.scale = static_cast<float>(2 / elements);
    cotangent.squared_error = error.data();
    HybridAttentionGradients grads;
    grads.dweight_q = trained.Grad(3 * i, {s.H, s.D, s.F});
    grads.dweight_k = trained.Grad(3 * i + 1, {s.H, s.D, s.F});
    grads.dwindow_factor = trained.Grad(3 * i + 2, {s.H});
    HybridAttentionBackwardCuda(ctx, config, in, cotangent, grads, Attention());
    if ((i + 1) % kBucketLayers == 0 || i + 1 == s.layers) {
      trained.AddRanks(3 * (i / kBucketLayers * kBucketLayers), 3 * (i + 1));
    }
  };
  return segment;
}

}  // namespace caracal::kernels
