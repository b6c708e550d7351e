#include <algorithm>
#include <cstring>
#include <limits>

#include "core/model/ops/attention_parts.h"
#include "core/model/ops/cuda/cuda_ops.h"
#include "kernels/causal_attention/causal_attention_cuda.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda.h"
#include "kernels/hybrid_attention/weight_loss_cuda.h"

namespace caracal {
namespace {

using kernels::CausalAttentionInputs;
using kernels::HybridAttentionInputs;

TensorView AsHeads(const LayerContext& layer, TensorView y) {
  TensorView out(y.data, y.dtype,
                 {y.shape[0], layer.heads(), layer.head_dim()});
  out.stride[0] = y.stride[0];
  return out;
}

HybridAttentionInputs HybridInputs(const LayerContext& layer,
                                   const TokenBatch& batch, TensorView qkv,
                                   const uint8_t* terms) {
  const QkvViews views = SplitQkvRows(layer, qkv);
  HybridAttentionInputs in;
  in.q = views.q;
  in.k = views.k;
  in.v = views.v;
  BindFeatureMaps(layer, &in);
  in.offsets = batch.offsets;
  in.sequences = batch.sequences;
  in.terms = terms;
  return in;
}

void RunCausal(Execution& exec, const LayerContext& layer,
               const TokenBatch& batch, TensorView qkv, TensorView y,
               TensorView lse) {
  const QkvViews views = SplitQkvRows(layer, qkv);
  const CausalAttentionInputs in = {.q = views.q,
                                    .k = views.k,
                                    .v = views.v,
                                    .offsets = batch.offsets,
                                    .key_offsets = nullptr,
                                    .sequences = batch.sequences};
  ArenaScope scratch(exec.arena);
  const Workspace workspace = exec.device_arena().AllocateWorkspace(
      kernels::CausalAttentionForwardCudaWorkspaceBytes(in));
  if (!exec.device->ok()) return;
  kernels::CausalAttentionForwardCuda(exec.ctx, in, AsHeads(layer, y), lse,
                                      workspace);
}

void RunHybrid(Execution& exec, const kernels::HybridAttentionConfig& config,
               const HybridAttentionInputs& in,
               const kernels::HybridAttentionOutputs& out,
               const kernels::HybridAttentionBorders& borders = {}) {
  ArenaScope scratch(exec.arena);
  const Workspace workspace = exec.device_arena().AllocateWorkspace(
      kernels::HybridAttentionForwardCudaWorkspaceBytes(config, in));
  if (!exec.device->ok()) return;
  kernels::HybridAttentionForwardCuda(exec.ctx, config, in, /*past=*/nullptr,
                                      out, workspace,
                                      kernels::CudaVersion::kBest, borders);
}

// Full attention with a gradient: as hybrid attention without a linear part
// whose window is the whole text.
kernels::HybridAttentionConfig WholeWindow() {
  kernels::HybridAttentionConfig config;
  config.window = std::numeric_limits<int64_t>::max();
  return config;
}

void RunHybridBackward(Execution& exec,
                       const kernels::HybridAttentionConfig& config,
                       const HybridAttentionInputs& in,
                       const kernels::HybridAttentionCotangent& cotangent,
                       const kernels::HybridAttentionGradients& grads,
                       const kernels::HybridAttentionSaved* saved) {
  ArenaScope scratch(exec.arena);
  const Workspace workspace = exec.device_arena().AllocateWorkspace(
      kernels::HybridAttentionBackwardCudaWorkspaceBytes(config, in, cotangent,
                                                         grads));
  if (!exec.device->ok()) return;
  kernels::HybridAttentionBackwardCuda(exec.ctx, config, in, cotangent, grads,
                                       workspace, kernels::CudaVersion::kBest,
                                       saved);
}

class HybridGradient final : public Tape::Operation {
 public:
  HybridGradient(const LayerContext& layer,
                 const kernels::HybridAttentionConfig& config,
                 const HybridAttentionInputs& in,
                 const kernels::HybridAttentionSaved& saved, Variable* qkv,
                 Variable* y)
      : layer_(layer),
        config_(config),
        in_(in),
        saved_(saved),
        qkv_(qkv),
        y_(y) {}

  void Backward(Execution& exec) override {
    qkv_->grad = AllocateRows(exec, qkv_->value.shape[0], qkv_->value.shape[1],
                              CudaProducts::RoomOf(QkvProjection(layer_)));
    const QkvViews d = SplitQkvRows(layer_, qkv_->grad);
    kernels::HybridAttentionGradients grads;
    if (in_.weight_q.defined()) grads = FeatureMapGradients(layer_);
    grads.dq = d.q;
    grads.dk = d.k;
    grads.dv = d.v;
    kernels::HybridAttentionCotangent cotangent;
    cotangent.dy = AsHeads(layer_, y_->grad);
    RunHybridBackward(exec, config_, in_, cotangent, grads, &saved_);
  }

 private:
  LayerContext layer_;
  kernels::HybridAttentionConfig config_;
  HybridAttentionInputs in_;
  kernels::HybridAttentionSaved saved_;
  Variable* qkv_;
  Variable* y_;
};

// Device memory as fp32 in exec.arena, after the device was waited for.
class HostCopies {
 public:
  explicit HostCopies(Execution& exec) : exec_(exec) {}
  TensorView F32(TensorView from) {
    TensorView to = exec_.arena->Allocate(DType::kF32, {from.size()});
    exec_.device->Download(from.data, from.size() * sizeof(float), to.data);
    return to;
  }
  // [rows, heads, D], contiguous.
  TensorView Bf16(TensorView from) {
    auto* halves = static_cast<uint16_t*>(
        exec_.arena->Allocate(from.size() * sizeof(uint16_t)));
    exec_.device->Download(from.data, from.size() * sizeof(uint16_t), halves);
    exec_.Fail(exec_.device->Wait());
    const TensorView to =
        exec_.arena->AllocateF32({from.shape[0], from.shape[1], from.shape[2]});
    for (int64_t i = 0; i < to.size(); ++i) {
      to.f32()[i] = FloatFromBf16(halves[i]);
    }
    return to;
  }

 private:
  Execution& exec_;
};

}  // namespace

void CudaOps::AddStatistics(Execution& exec, const LayerContext& layer,
                            const TokenBatch& batch,
                            const HybridAttentionInputs& hybrid, TensorView qkv,
                            AttentionStatistics* statistics) {
  ArenaScope scratch(exec.arena);
  const int64_t rows = batch.rows(), heads = layer.heads();
  const int64_t entries = batch.sequences * heads;
  const kernels::HybridAttentionConfig config = layer.attention();
  const kernels::HybridAttentionConfig with_sinks = WithSinkPositions(config);
  HostCopies copies(exec);
  kernels::HybridAttentionOutputs out;
  out.y = exec.device_arena().Allocate(DType::kBF16,
                                       {rows, heads, layer.head_dim()});
  for (TensorView* v : {&out.row_max, &out.softmax_den, &out.linear_den}) {
    *v = exec.device_arena().AllocateF32({heads, rows});
  }
  auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(entries));
  HybridAttentionInputs in = hybrid;
  in.terms = terms;
  in.device_terms = nullptr;
  const auto run = [&](uint8_t which,
                       const kernels::HybridAttentionConfig& as) {
    std::memset(terms, which, entries);
    RunHybrid(exec, as, in, out);
  };
  AttentionParts parts;
  run(kernels::kSwaOnlyTerms, config);
  parts.soft_y = copies.Bf16(out.y);
  parts.soft_max = copies.F32(out.row_max);
  parts.soft_den = copies.F32(out.softmax_den);
  run(kernels::kLaPastTerms, config);
  parts.linear_y = copies.Bf16(out.y);
  parts.linear_den = copies.F32(out.linear_den);
  run(kernels::kFarSinkTerms, with_sinks);
  parts.sinks_max = copies.F32(out.row_max);
  parts.sinks_den = copies.F32(out.softmax_den);
  if (config.sinks == 0) {
    run(kernels::kLaPastTerms, with_sinks);
    parts.past_linear_den = copies.F32(out.linear_den);
  }
  TensorView y = out.y.Reshaped({rows, heads * layer.head_dim()});
  RunCausal(exec, layer, batch, qkv, y, out.row_max);
  parts.lse = copies.F32(out.row_max);
  parts.window_factor =
      copies.F32(layer.adapters->window_factor(layer.layer).step_value);
  exec.Fail(device_->Wait());
  AddParts(layer.layer, config, batch, parts, statistics);
}

Variable* CudaOps::Attend(Execution& exec, const LayerContext& layer,
                          const TokenBatch& batch, const ModePlan& plan,
                          Variable* qkv, AttentionStatistics* statistics) {
  const int64_t rows = batch.rows();
  Variable* y = exec.arena->New<Variable>();
  y->value = AllocateRows(exec, rows, layer.heads() * layer.head_dim(),
                          CudaProducts::RoomOf(OutputProjection(layer)));
  const bool full = plan.full_softmax(layer.layer);
  if (full && exec.tape == nullptr) {
    RunCausal(exec, layer, batch, qkv->value, y->value, TensorView());
  } else {
    kernels::HybridAttentionConfig config = layer.attention();
    HybridAttentionInputs in =
        HybridInputs(layer, batch, qkv->value, plan.terms(layer.layer));
    CARACAL_CHECK(plan_.plan == &plan) << "a plan without UsePlan";
    in.device_terms = plan_.terms + (in.terms - plan.terms(0));
    in.term_kinds = plan_.kinds;
    if (full) {
      config = WholeWindow();
      const int64_t entries = batch.sequences * layer.heads();
      auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(entries));
      std::memset(terms, kernels::kSwaOnlyTerms, entries);
      in.terms = terms;
      in.device_terms = nullptr;
      in.weight_q = in.weight_k = in.bias_q = in.bias_k = ConstTensorView();
    }
    kernels::HybridAttentionOutputs out;
    out.y = AsHeads(layer, y->value);
    kernels::HybridAttentionBorders borders;
    if (exec.tape != nullptr) {
      out.softmax_den = exec.device_arena().AllocateF32({layer.heads(), rows});
      out.linear_den = exec.device_arena().AllocateF32({layer.heads(), rows});
      borders = kernels::HybridAttentionBordersCuda(config, in);
      if (borders.bytes > 0) {
        borders.memory = exec.device_arena().Allocate(borders.bytes);
      }
    }
    RunHybrid(exec, config, in, out, borders);
    if (statistics != nullptr && !full) {
      AddStatistics(exec, layer, batch, in, qkv->value, statistics);
    }
    if (exec.tape != nullptr) {
      const kernels::HybridAttentionSaved saved = {out.y, out.softmax_den,
                                                   out.linear_den, borders};
      exec.tape->Record<HybridGradient>(layer, config, in, saved, qkv, y);
    }
  }
  CheckFinite(exec, layer.layer, "attention", y->value);
  return y;
}

Variable* CudaOps::TeacherAttention(Execution& exec, const LayerContext& layer,
                                    const TokenBatch& batch, Variable* qkv) {
  Variable* y = exec.arena->New<Variable>();
  y->value = transferring_ ? StudentOf(layer).y
                           : AllocateRows(exec, batch.rows(),
                                          layer.heads() * layer.head_dim());
  RunCausal(exec, layer, batch, qkv->value, y->value, TensorView());
  CheckFinite(exec, layer.layer, "teacher attention", y->value);
  return y;
}

namespace {

// Points of the device's streams: where a student may start, and where the
// students of layers of either parity have ended.
constexpr int kTeacherIsThere = 0, kStudentIsDone = 1;

size_t StudentWorkspaceBytes(
    const LayerContext& layer, const TransferObjective& objective,
    const HybridAttentionInputs& in,
    const kernels::HybridAttentionCotangent& cotangent) {
  size_t bytes = 0;
  if (objective.output_scale != 0) {
    bytes = kernels::HybridAttentionBackwardCudaWorkspaceBytes(
        layer.attention(), in, cotangent, FeatureMapGradients(layer));
  }
  if (objective.weight_scale != 0) {
    bytes = std::max(bytes, kernels::AttentionWeightLossCudaWorkspaceBytes(
                                layer.attention(), in));
  }
  return bytes;
}

}  // namespace

int CudaOps::BeginTransfer(Execution& exec, const LayerContext& layer,
                           const TokenBatch& batch,
                           const TransferObjective& objective) {
  const int64_t rows = batch.rows(), width = layer.heads() * layer.head_dim();
  for (Student& student : students_) {
    student.qkv =
        AllocateRows(exec, rows, layer.layer_weights().qkv.out_features());
    student.y = AllocateRows(exec, rows, width);
    student.running = false;
  }
  const int64_t entries = batch.sequences * layer.heads();
  auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(entries));
  std::memset(terms, kernels::kHybridTerms, entries);
  kernels::HybridAttentionCotangent cotangent;
  cotangent.target = AsHeads(layer, students_[0].y);
  const HybridAttentionInputs in =
      HybridInputs(layer, batch, students_[0].qkv, terms);
  student_workspace_ = exec.device_arena().AllocateWorkspace(
      StudentWorkspaceBytes(layer, objective, in, cotangent));
  transferring_ = true;
  teacher_marked_ = false;
  return kStudents;
}

void CudaOps::MarkTeacher() {
  device_->Mark(kTeacherIsThere, device_->stream());
  teacher_marked_ = true;
}

void CudaOps::AwaitStudent(const LayerContext& layer) {
  Student& student = StudentOf(layer);
  if (!student.running) return;
  device_->Await(kStudentIsDone + layer.layer % kStudents, device_->stream());
  student.running = false;
}

void CudaOps::EndTransfer(Execution&) {
  for (int i = 0; i < kStudents; ++i) {
    if (students_[i].running) {
      device_->Await(kStudentIsDone + i, device_->stream());
    }
    students_[i] = {};
  }
  transferring_ = false;
}

void CudaOps::TransferAttention(Execution& exec, const LayerContext& layer,
                                const TokenBatch& batch,
                                const TransferObjective& objective,
                                const Variable& qkv, const Variable& y,
                                TransferSums* sums) {
  ArenaScope scratch(exec.arena);
  const int64_t entries = batch.sequences * layer.heads();
  auto* terms = static_cast<uint8_t*>(exec.arena->Allocate(entries));
  std::memset(terms, objective.terms, entries);
  const HybridAttentionInputs in = HybridInputs(layer, batch, qkv.value, terms);
  const kernels::HybridAttentionGradients grads = FeatureMapGradients(layer);
  kernels::HybridAttentionCotangent cotangent;
  cotangent.target = AsHeads(layer, y.value);
  Context context = exec.ctx;
  Workspace workspace = student_workspace_;
  if (transferring_) {
    context.stream = device_->second_stream();
    if (!teacher_marked_) MarkTeacher();
    teacher_marked_ = false;
    device_->Await(kTeacherIsThere, context.stream);
  } else {
    workspace = exec.device_arena().AllocateWorkspace(
        StudentWorkspaceBytes(layer, objective, in, cotangent));
  }
  if (!device_->ok()) return;
  if (objective.output_scale != 0) {
    cotangent.scale = objective.output_scale;
    cotangent.squared_error = SumFor(&sums->squared_error);
    kernels::HybridAttentionBackwardCuda(
        context, layer.attention(), in, cotangent, grads, workspace,
        kernels::CudaVersion::kBest, /*saved=*/nullptr);
  }
  if (objective.weight_scale != 0) {
    double* const cross = SumFor(&sums->weights.cross_entropy);
    double* const entropy = SumFor(&sums->weights.teacher_entropy);
    kernels::AttentionWeightLossBackwardCuda(context, layer.attention(), in,
                                             objective.weight_scale, grads,
                                             cross, entropy, workspace);
  }
  if (!transferring_) return;
  device_->Mark(kStudentIsDone + layer.layer % kStudents, context.stream);
  StudentOf(layer).running = true;
}

}  // namespace caracal
