#include "core/model/ops/lm_loss.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "core/model/ops/stream.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm/rms_norm.h"

namespace caracal {
namespace {

// log sum exp over the whole vocabulary and the target's logit, from this
// shard's logits.
struct RowStatistics {
  TensorView row_max, sum_exp, target_logit;  // [n]
};

// argmax int32 [n] of this shard's logits, or undefined.
void CombineShards(Execution& exec, const RowStatistics& s, TensorView argmax) {
  if (exec.collective->size() == 1) return;
  ArenaScope scratch(exec.arena);
  const int64_t n = s.row_max.shape[0];
  const TensorView local_max = exec.arena->AllocateF32({n});
  std::memcpy(local_max.data, s.row_max.data, n * sizeof(float));
  exec.Fail(exec.collective->AllReduceMax(s.row_max));
  for (int64_t i = 0; i < n; ++i) {
    s.sum_exp.f32()[i] *= std::exp(local_max.f32()[i] - s.row_max.f32()[i]);
  }
  exec.Fail(exec.collective->AllReduceSum(s.sum_exp));
  exec.Fail(exec.collective->AllReduceSum(s.target_logit));
  if (!argmax.defined()) return;
  // The first maximum: the smallest id of the shards that have it. Ids of any
  // vocabulary are exact in fp32.
  const TensorView first = exec.arena->AllocateF32({n});
  for (int64_t i = 0; i < n; ++i) {
    first.f32()[i] = local_max.f32()[i] == s.row_max.f32()[i]
                         ? static_cast<float>(-argmax.As<int32_t>()[i])
                         : -std::numeric_limits<float>::infinity();
  }
  exec.Fail(exec.collective->AllReduceMax(first));
  for (int64_t i = 0; i < n; ++i) {
    argmax.As<int32_t>()[i] = static_cast<int32_t>(-first.f32()[i]);
  }
}

// The rows that count, in order: [count] indices into the batch.
int64_t ActiveRows(const LmLossRequest& request, int64_t rows,
                   int32_t* active) {
  int64_t count = 0;
  for (int64_t r = 0; r < rows; ++r) {
    if (request.row_weight.defined() && request.row_weight.f32()[r] == 0 &&
        (request.logit_kl == nullptr ||
         request.logit_kl->row_weight.f32()[r] == 0)) {
      continue;
    }
    active[count++] = static_cast<int32_t>(r);
  }
  return count;
}

TensorView FirstRows(TensorView view, int64_t n) {
  view.shape[0] = n;
  return view;
}

// The teacher's side of a chunk of rows.
class TeacherChunk {
 public:
  TeacherChunk(Execution& exec, const LlamaWeights& weights,
               const LogitKl& request, int64_t chunk)
      : exec_(exec), weights_(weights), request_(request) {
    const int64_t width = request.teacher_x.shape[1];
    teacher_x_ = GatherRows(exec, request.teacher_x, request.kl.shape[0]);
    gathered_ = exec.arena->AllocateF32({chunk, width});
    normed_ = exec.arena->AllocateF32({chunk, width});
    logits_ = exec.arena->AllocateF32({chunk, weights.lm_head.out_features()});
    for (TensorView* v : {&all_.row_max, &all_.sum_exp, &all_.target_logit,
                          &lse_, &kl_, &weight_}) {
      *v = exec.arena->AllocateF32({chunk});
    }
  }

  // Divergences of the rows, and their gradient by the student's logits [n, V].
  TensorView Gradient(const int32_t* active, int64_t n, TensorView logits,
                      ConstTensorView targets, ConstTensorView lse) {
    const int64_t width = request_.teacher_x.shape[1];
    const TensorView xs = FirstRows(gathered_, n), ys = FirstRows(normed_, n);
    const TensorView ls = FirstRows(logits_, n), ts = FirstRows(lse_, n);
    const TensorView kl = FirstRows(kl_, n), weight = FirstRows(weight_, n);
    const RowStatistics s = {FirstRows(all_.row_max, n),
                             FirstRows(all_.sum_exp, n),
                             FirstRows(all_.target_logit, n)};
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(xs.f32() + i * width, teacher_x_.f32() + active[i] * width,
                  width * sizeof(float));
      weight.f32()[i] = request_.row_weight.f32()[active[i]];
    }
    kernels::RmsNormForward(exec_.ctx, xs, weights_.final_norm,
                            weights_.config.rms_norm_eps, ys, TensorView());
    weights_.lm_head.MultiplyTransposed(exec_, ys, 0.0f, ls);
    kernels::CrossEntropyStatistics(exec_.ctx, ls, targets,
                                    weights_.vocabulary.begin, s.row_max,
                                    s.sum_exp, s.target_logit, TensorView());
    CombineShards(exec_, s, TensorView());
    for (int64_t i = 0; i < n; ++i) {
      ts.f32()[i] = s.row_max.f32()[i] + std::log(s.sum_exp.f32()[i]);
    }
    kernels::KlDivergence(exec_.ctx, request_.direction, logits, ls, lse, ts,
                          kl);
    exec_.Fail(exec_.collective->AllReduceSum(kl));
    for (int64_t i = 0; i < n; ++i) {
      request_.kl.f32()[active[i]] = kl.f32()[i];
    }
    kernels::KlGradient(exec_.ctx, request_.direction, logits, ls, lse, ts, kl,
                        weight);
    return ls;
  }

 private:
  Execution& exec_;
  const LlamaWeights& weights_;
  const LogitKl& request_;
  ConstTensorView teacher_x_;
  TensorView gathered_, normed_, logits_, lse_, kl_, weight_;
  RowStatistics all_;
};

// to [rows, V] += from.
void AddRows(Execution& exec, TensorView from, TensorView to) {
  const int64_t columns = to.shape[1];
  exec.ctx.pool->ParallelFor(to.shape[0], [&](int64_t r, int) {
    const float* in = from.f32() + r * columns;
    float* out = to.f32() + r * columns;
    for (int64_t j = 0; j < columns; ++j) out[j] += in[j];
  });
}

}  // namespace

Variable* Embed(Execution& exec, const LlamaWeights& weights,
                ConstTensorView tokens) {
  Variable* x = exec.arena->New<Variable>();
  x->needs_grad = false;  // The embedding is frozen.
  const int64_t rows = tokens.shape[0], width = weights.config.hidden_size;
  const IndexRange mine = StreamRows(exec, rows);
  x->value = exec.arena->AllocateF32({mine.size(), width});
  ArenaScope scratch(exec.arena);
  const TensorView partial = exec.collective->size() == 1
                                 ? x->value
                                 : exec.arena->AllocateF32({rows, width});
  weights.embedding.Gather(exec, tokens, weights.vocabulary.begin, partial);
  SumRows(exec, partial, x->value);
  exec.CheckFinite(-1, "embedding", x->value);
  return x;
}

TensorView LmLogits(Execution& exec, const LlamaWeights& weights,
                    ConstTensorView x) {
  const TensorView logits =
      exec.arena->AllocateF32({x.shape[0], weights.lm_head.out_features()});
  ArenaScope scratch(exec.arena);
  const TensorView normed = exec.arena->AllocateF32({x.shape[0], x.shape[1]});
  kernels::RmsNormForward(exec.ctx, x, weights.final_norm,
                          weights.config.rms_norm_eps, normed, TensorView());
  weights.lm_head.MultiplyTransposed(exec, normed, 0.0f, logits);
  return logits;
}

void LmLoss(Execution& exec, const LlamaWeights& weights,
            const LmLossRequest& request, Variable* x) {
  const int64_t rows = request.targets.shape[0], width = x->value.shape[1];
  const IndexRange mine = StreamRows(exec, rows);
  const bool gradient = request.row_weight.defined();
  if (gradient) {
    x->grad = exec.arena->AllocateF32({mine.size(), width});
    std::memset(x->grad.data, 0, x->grad.size() * sizeof(float));
  }
  std::memset(request.nll.data, 0, rows * sizeof(float));

  ArenaScope scratch(exec.arena);
  const ConstTensorView stream = GatherRows(exec, x->value, rows);
  auto* active = exec.arena->AllocateI32({rows}).As<int32_t>();
  const int64_t count = ActiveRows(request, rows, active);
  const int64_t chunk = std::min(kLmLossChunk, std::max<int64_t>(count, 1));
  const TensorView gathered = exec.arena->AllocateF32({chunk, width});
  const TensorView normed = exec.arena->AllocateF32({chunk, width});
  const TensorView dnormed = exec.arena->AllocateF32({chunk, width});
  const TensorView dgathered = exec.arena->AllocateF32({chunk, width});
  const TensorView inv_rms = exec.arena->AllocateF32({chunk});
  const TensorView logits =
      exec.arena->AllocateF32({chunk, weights.lm_head.out_features()});
  const TensorView targets = exec.arena->AllocateI32({chunk});
  const TensorView argmax = exec.arena->AllocateI32({chunk});
  const TensorView weight = exec.arena->AllocateF32({chunk});
  const TensorView lse = exec.arena->AllocateF32({chunk});
  const RowStatistics all = {exec.arena->AllocateF32({chunk}),
                             exec.arena->AllocateF32({chunk}),
                             exec.arena->AllocateF32({chunk})};

  std::optional<TeacherChunk> teacher;
  if (request.logit_kl != nullptr) {
    CARACAL_CHECK(gradient) << "distillation is for training";
    std::memset(request.logit_kl->kl.data, 0, rows * sizeof(float));
    teacher.emplace(exec, weights, *request.logit_kl, chunk);
  }
  const auto first = FirstRows;
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t n = std::min(chunk, count - begin);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = active[begin + i];
      std::memcpy(gathered.f32() + i * width, stream.f32() + r * width,
                  width * sizeof(float));
      targets.As<int32_t>()[i] = request.targets.As<int32_t>()[r];
      if (gradient) weight.f32()[i] = request.row_weight.f32()[r];
    }
    const TensorView xs = first(gathered, n), ys = first(normed, n);
    const TensorView ls = first(logits, n), ts = first(targets, n);
    const RowStatistics s = {first(all.row_max, n), first(all.sum_exp, n),
                             first(all.target_logit, n)};
    kernels::RmsNormForward(exec.ctx, xs, weights.final_norm,
                            weights.config.rms_norm_eps, ys, first(inv_rms, n));
    weights.lm_head.MultiplyTransposed(exec, ys, 0.0f, ls);
    const TensorView chunk_argmax =
        request.argmax.defined() ? first(argmax, n) : TensorView();
    kernels::CrossEntropyStatistics(exec.ctx, ls, ts, weights.vocabulary.begin,
                                    s.row_max, s.sum_exp, s.target_logit,
                                    chunk_argmax);
    CombineShards(exec, s, chunk_argmax);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = active[begin + i];
      lse.f32()[i] = s.row_max.f32()[i] + std::log(s.sum_exp.f32()[i]);
      request.nll.f32()[r] = lse.f32()[i] - s.target_logit.f32()[i];
      if (request.argmax.defined()) {
        request.argmax.As<int32_t>()[r] = argmax.As<int32_t>()[i];
      }
    }
    if (!gradient) continue;
    TensorView distilled;
    if (teacher.has_value()) {
      distilled = teacher->Gradient(active + begin, n, ls, ts, first(lse, n));
    }
    kernels::CrossEntropyGradient(exec.ctx, ls, ts, weights.vocabulary.begin,
                                  first(lse, n), first(weight, n));
    if (teacher.has_value()) AddRows(exec, distilled, ls);
    const TensorView dn = first(dnormed, n), dx = first(dgathered, n);
    kernels::MatMul(exec.ctx, kernels::Transpose::kNo, kernels::Transpose::kNo,
                    1.0f, ls, weights.lm_head.dense(), 0.0f, dn);
    exec.Fail(exec.collective->AllReduceSum(dn));
    kernels::RmsNormBackward(exec.ctx, dn, xs, weights.final_norm,
                             first(inv_rms, n), /*accumulate_dx=*/false, dx,
                             TensorView());
    for (int64_t i = 0; i < n; ++i) {
      const int64_t r = active[begin + i];
      if (r < mine.begin || r >= mine.end) continue;
      std::memcpy(x->grad.f32() + (r - mine.begin) * width,
                  dx.f32() + i * width, width * sizeof(float));
    }
  }
  exec.CheckFinite(-1, "loss", request.nll);
}

}  // namespace caracal
