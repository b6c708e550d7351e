#include <algorithm>
#include <cstring>

#include "core/model/ops/cuda/cuda_ops.h"
#include "core/model/ops/cuda/rows.h"
#include "core/model/ops/stream.h"
#include "kernels/adamw/adamw_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/cross_entropy/kl_divergence_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"

namespace caracal {
namespace {

using kernels::Transpose;

// Rows whose logits exist at a time.
constexpr int64_t kChunk = 2048;
// How many rows are computed is a multiple of so many, or of the batch's rows
// over so many.
constexpr int64_t kLeastGrain = 64, kGrains = 16;

// Elements [begin, begin + n) of a flat view.
TensorView Part(TensorView flat, int64_t begin, int64_t n) {
  flat.data = static_cast<char*>(flat.data) + begin * SizeOf(flat.dtype);
  flat.shape[0] = n;
  return flat;
}

// Of the whole vocabulary, from what each shard has of it.
void CombineShards(Execution& exec, TensorView row_max, TensorView sum_exp,
                   TensorView target_logit) {
  if (exec.collective->size() == 1) return;
  ArenaScope scratch(exec.arena);
  const TensorView own_max =
      exec.device_arena().AllocateF32({row_max.shape[0]});
  exec.device->Copy(row_max.data, row_max.size() * sizeof(float), own_max.data);
  if (!exec.device->ok()) return;
  exec.Fail(exec.collective->AllReduceMax(row_max));
  kernels::CrossEntropyRescaleCuda(exec.ctx, own_max, row_max, sum_exp);
  exec.Fail(exec.collective->AllReduceSum(sum_exp));
  exec.Fail(exec.collective->AllReduceSum(target_logit));
}

}  // namespace

Variable* CudaOps::Embed(Execution& exec, const LlamaWeights& weights,
                         ConstTensorView tokens) {
  Variable* x = exec.arena->New<Variable>();
  x->needs_grad = false;  // The embedding is frozen.
  const int64_t rows = tokens.shape[0], width = weights.config.hidden_size;
  x->value = AllocateRows(exec, StreamRows(exec, rows).size(), width);
  ArenaScope scratch(exec.arena);
  const TensorView all =
      exec.collective->size() == 1 ? x->value : AllocateRows(exec, rows, width);
  if (!device_->ok()) return x;
  kernels::EmbeddingForwardCuda(exec.ctx, tokens, weights.embedding.dense(),
                                weights.vocabulary.begin, all);
  SumDeviceRows(exec, all, x->value);
  CheckFinite(exec, -1, "embedding", x->value);
  return x;
}

TensorView CudaOps::Logits(Execution& exec, const LlamaWeights& weights,
                           ConstTensorView x, absl::Span<const int64_t> rows) {
  CARACAL_CHECK(exec.collective->size() == 1)
      << "logits of some rows are one rank's work";
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t width = x.shape[1], vocabulary = weights.lm_head.out_features();
  const TensorView out = exec.arena->AllocateF32({count, vocabulary});
  ArenaScope scratch(exec.arena);
  auto* wanted = exec.arena->AllocateI32({count}).As<int32_t>();
  std::copy(rows.begin(), rows.end(), wanted);
  const TensorView ids = exec.device_arena().AllocateI32({count});
  device_->Upload(wanted, count * sizeof(int32_t), ids.data);
  const TensorView gathered = AllocateRows(exec, count, width);
  const TensorView normed = AllocateRows(exec, count, width);
  const TensorView logits =
      exec.device_arena().AllocateF32({count, vocabulary});
  if (!device_->ok()) {
    exec.Fail(device_->Wait());
    return out;
  }
  kernels::EmbeddingForwardCuda(exec.ctx, ids, x, 0, gathered);
  kernels::RmsNormForwardCuda(exec.ctx, gathered, weights.final_norm,
                              weights.config.rms_norm_eps, normed,
                              TensorView());
  products_.Multiply(exec, normed, Transpose::kYes, weights.lm_head.dense(),
                     logits);
  device_->Download(logits.data, logits.size() * sizeof(float), out.data);
  exec.Fail(device_->Wait());
  return out;
}

// Rows without a weight are not computed; without weights, every row is. A few
// that count for nothing are computed with the others, so that batches in which
// about as many count take the same launches.
int64_t CudaOps::BeginLoss(Execution& exec, const LmLossRequest& request) {
  const int64_t rows = request.targets.shape[0];
  const bool gradient = request.row_weight.defined();
  const LogitKl* kl = request.logit_kl;
  CARACAL_CHECK(kl == nullptr || gradient) << "distillation is for training";
  std::memset(request.nll.data, 0, rows * sizeof(float));
  if (kl != nullptr) std::memset(kl->kl.data, 0, rows * sizeof(float));
  auto* ids = exec.arena->AllocateI32({rows}).As<int32_t>();
  auto* targets = exec.arena->AllocateI32({rows}).As<int32_t>();
  float* weight = exec.arena->AllocateF32({rows}).f32();
  float* kl_weight = exec.arena->AllocateF32({rows}).f32();
  int64_t count = 0;
  const auto take = [&](bool counts, int64_t most) {
    for (int64_t r = 0; r < rows && count < most; ++r) {
      const float w = gradient ? request.row_weight.f32()[r] : 1.0f;
      const float k = kl == nullptr ? 0.0f : kl->row_weight.f32()[r];
      if ((w != 0 || k != 0) != counts) continue;
      ids[count] = static_cast<int32_t>(r);
      targets[count] = request.targets.As<int32_t>()[r];
      weight[count] = w;
      kl_weight[count++] = k;
    }
  };
  take(/*counts=*/true, rows);
  const int64_t counted = count;
  loss_ = {};
  if (counted == 0) return 0;
  loss_.all = counted == rows;
  const int64_t grain = std::max(kLeastGrain, rows / kGrains);
  take(/*counts=*/false, std::min(rows, (counted + grain - 1) / grain * grain));
  loss_.count = count;
  loss_.counted = counted;
  Arena& arena = exec.device_arena();
  const auto upload = [&](const void* from, DType dtype) {
    const TensorView to = arena.Allocate(dtype, {count});
    device_->Upload(from, count * SizeOf(dtype), to.data);
    return to;
  };
  loss_.targets = upload(targets, DType::kI32);
  if (!loss_.all) loss_.rows = upload(ids, DType::kI32);
  if (gradient) loss_.weight = upload(weight, DType::kF32);
  if (kl != nullptr) loss_.kl_weight = upload(kl_weight, DType::kF32);

  const auto hand_out = [&](DType dtype, TensorView to) {
    const TensorView from = arena.Allocate(dtype, {count});
    auto* const values = static_cast<uint32_t*>(
        exec.arena->Allocate(counted * sizeof(uint32_t)));
    hand_outs_.push_back({Part(from, 0, counted), values, ids, to.data});
    return from;
  };
  loss_.nll = hand_out(DType::kF32, request.nll);
  if (kl != nullptr) loss_.divergence = hand_out(DType::kF32, kl->kl);
  if (request.argmax.defined()) {
    CARACAL_CHECK(loss_.all && exec.collective->size() == 1)
        << "the likeliest tokens of some rows, or of a part of the vocabulary";
    loss_.argmax = hand_out(DType::kI32, request.argmax);
  }
  return 2 * count + loss_.all;
}

void CudaOps::LmLoss(Execution& exec, const LlamaWeights& weights,
                     const LmLossRequest& request, Variable* x) {
  const int64_t rows = request.targets.shape[0], width = x->value.shape[1];
  const int64_t vocabulary = weights.lm_head.out_features();
  const float epsilon = weights.config.rms_norm_eps;
  const bool gradient = request.row_weight.defined();
  const LogitKl* kl = request.logit_kl;
  const Loss& active = loss_;
  // Of all rows, of which this rank's are x's.
  TensorView grad;
  if (gradient) {
    grad = AllocateRows(exec, rows, width, StreamRoom(weights));
    x->grad = MyDeviceRows(exec, grad);
  }
  if (gradient && !active.all) {
    device_->SetZero(grad.data, rows * grad.stride[0] * sizeof(uint16_t));
  }
  if (active.count == 0) return;

  ArenaScope scratch(exec.arena);
  Arena& arena = exec.device_arena();
  const int64_t chunk = std::min(kChunk, active.count);
  const TensorView gathered = AllocateRows(exec, chunk, width);
  const TensorView normed = AllocateRows(exec, chunk, width);
  const TensorView dnormed = AllocateRows(exec, chunk, width);
  const TensorView logits = AllocateRows(exec, chunk, vocabulary);
  TensorView teacher_logits;
  if (kl != nullptr) teacher_logits = AllocateRows(exec, chunk, vocabulary);
  const TensorView stream = AllDeviceRows(exec, x->value, rows);
  TensorView teacher_stream;
  if (kl != nullptr) {
    TensorView mine(const_cast<void*>(kl->teacher_x.data), DType::kBF16,
                    {kl->teacher_x.shape[0], width});
    mine.stride[0] = kl->teacher_x.stride[0];
    teacher_stream = AllDeviceRows(exec, mine, rows);
  }
  const auto vector = [&] { return arena.AllocateF32({chunk}); };
  const TensorView inv_rms = vector(), row_max = vector(), sum_exp = vector();
  const TensorView target_logit = vector(), lse = vector();
  const TensorView teacher_lse = vector(), teacher_nll = vector();
  if (!device_->ok()) return;

  for (int64_t begin = 0; begin < active.count; begin += chunk) {
    const int64_t n = std::min(chunk, active.count - begin);
    const auto first = [n](TensorView v) {
      v.shape[0] = n;
      return v;
    };
    const auto rows_of = [&](TensorView all) {
      if (active.all) return BlockOf(all, begin, n, 0, width);
      kernels::EmbeddingForwardCuda(exec.ctx, Part(active.rows, begin, n), all,
                                    0, first(gathered));
      return first(gathered);
    };
    const auto loss_of = [&](TensorView xs, TensorView ls, TensorView inv,
                             TensorView lse_out, TensorView nll_out,
                             TensorView argmax_out) {
      const TensorView targets = Part(active.targets, begin, n);
      kernels::RmsNormForwardCuda(exec.ctx, xs, weights.final_norm, epsilon,
                                  first(normed), inv);
      products_.Multiply(exec, first(normed), Transpose::kYes,
                         weights.lm_head.dense(), ls);
      kernels::CrossEntropyStatisticsCuda(
          exec.ctx, ls, targets, weights.vocabulary.begin, first(row_max),
          first(sum_exp), first(target_logit), argmax_out);
      CombineShards(exec, first(row_max), first(sum_exp), first(target_logit));
      kernels::CrossEntropyLossCuda(exec.ctx, first(row_max), first(sum_exp),
                                    first(target_logit), lse_out, nll_out);
    };
    const TensorView ls = first(logits), ts = first(teacher_logits);
    if (kl != nullptr) {
      loss_of(rows_of(teacher_stream), ts, TensorView(), first(teacher_lse),
              first(teacher_nll), TensorView());
    }
    const TensorView xs = rows_of(stream);
    loss_of(
        xs, ls, first(inv_rms), first(lse), Part(active.nll, begin, n),
        active.argmax.defined() ? Part(active.argmax, begin, n) : TensorView());
    if (!gradient) continue;
    if (kl != nullptr) {
      const TensorView each = Part(active.divergence, begin, n);
      kernels::KlDivergenceCuda(exec.ctx, kl->direction, ls, ts, first(lse),
                                first(teacher_lse), each);
      if (exec.collective->size() > 1) {
        exec.Fail(exec.collective->AllReduceSum(each));
      }
      kernels::KlGradientCuda(exec.ctx, kl->direction, ls, ts, first(lse),
                              first(teacher_lse), each,
                              Part(active.kl_weight, begin, n));
    }
    kernels::CrossEntropyGradientCuda(
        exec.ctx, ls, Part(active.targets, begin, n), weights.vocabulary.begin,
        first(lse), Part(active.weight, begin, n));
    if (kl != nullptr) {
      // Rows without gaps, or with ones that nothing reads.
      const auto flat = [&](TensorView v) {
        return TensorView(v.data, DType::kBF16, {n * v.stride[0]});
      };
      kernels::AccumulateCuda(exec.ctx, flat(ts), flat(ls));
    }
    products_.Multiply(exec, ls, Transpose::kNo, weights.lm_head.dense(),
                       first(dnormed));
    if (exec.collective->size() > 1) {
      exec.Fail(exec.collective->AllReduceSum(first(dnormed)));
    }
    const TensorView dx =
        active.all ? BlockOf(grad, begin, n, 0, width) : first(normed);
    kernels::RmsNormBackwardCuda(
        exec.ctx, first(dnormed), xs, weights.final_norm, first(inv_rms),
        /*accumulate_dx=*/false, dx, TensorView(), Workspace());
    if (!active.all) {
      kernels::ScatterRowsCuda(exec.ctx, Part(active.rows, begin, n), dx, grad);
    }
  }
  // What rows that count for nothing come to may be anything.
  CheckFinite(exec, -1, "loss", Part(active.nll, 0, active.counted));
}

}  // namespace caracal
