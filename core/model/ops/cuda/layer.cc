#include <algorithm>

#include "core/model/ops/cuda/cuda_ops.h"
#include "core/model/ops/cuda/rows.h"
#include "core/model/ops/stream.h"
#include "kernels/adamw/adamw_cuda.h"
#include "kernels/rms_norm/rms_norm_cuda.h"
#include "kernels/rope/rope_cuda.h"

namespace caracal {
namespace {

using Normed = CudaOps::Normed;

// Where an operation adds to the residual stream: in place, or with a tape
// beside it, since the gradient needs the stream as it was.
Variable* ResidualOutput(Execution& exec, Variable* x) {
  if (exec.tape == nullptr) return x;
  Variable* out = exec.arena->New<Variable>();
  out->value = AllocateRows(exec, x->value.shape[0], x->value.shape[1]);
  return out;
}

TensorView RowsOf(TensorView matrix, IndexRange rows) {
  return BlockOf(matrix, rows.begin, rows.size(), 0, matrix.shape[1]);
}

class ProjectQkvGradient final : public Tape::Operation {
 public:
  ProjectQkvGradient(CudaOps* ops, const LayerContext& layer,
                     const TokenBatch& batch, const Normed& normed, Variable* x,
                     Variable* qkv)
      : ops_(ops),
        layer_(layer),
        batch_(batch),
        normed_(normed),
        x_(x),
        qkv_(qkv) {}

  void Backward(Execution& exec) override {
    ops_->RotateBack(exec, layer_, batch_, qkv_->grad);
    ops_->NormProjectBackward(exec, QkvProjection(layer_),
                              layer_.layer_weights().attention_norm, normed_,
                              qkv_->grad, x_);
  }

 private:
  CudaOps* ops_;
  LayerContext layer_;
  TokenBatch batch_;
  Normed normed_;
  Variable* x_;
  Variable* qkv_;
};

class ProjectOutputGradient final : public Tape::Operation {
 public:
  ProjectOutputGradient(CudaOps* ops, const LayerContext& layer, Variable* y,
                        Variable* x, Variable* out)
      : ops_(ops), layer_(layer), y_(y), x_(x), out_(out) {}

  void Backward(Execution& exec) override {
    x_->grad = out_->grad;
    const int64_t rows = y_->value.shape[0];
    const Projection projection = OutputProjection(layer_);
    y_->grad = AllocateRows(exec, rows, y_->value.shape[1]);
    ArenaScope scratch(exec.arena);
    ops_->AddProjectionBackward(exec, projection, out_->grad, y_->value, rows,
                                [&](IndexRange some, TensorView dout) {
                                  ops_->products().InputGradient(
                                      exec, projection, dout,
                                      RowsOf(y_->grad, some));
                                });
  }

 private:
  CudaOps* ops_;
  LayerContext layer_;
  Variable* y_;
  Variable* x_;
  Variable* out_;
};

class MlpGradient final : public Tape::Operation {
 public:
  MlpGradient(CudaOps* ops, const LayerContext& layer, const Normed& normed,
              TensorView slopes, TensorView h, Variable* x, Variable* out)
      : ops_(ops),
        layer_(layer),
        normed_(normed),
        slopes_(slopes),
        h_(h),
        x_(x),
        out_(out) {}

  void Backward(Execution& exec) override {
    x_->grad = out_->grad;
    const Projection projection = DownProjection(layer_);
    {
      ArenaScope scratch(exec.arena);
      ops_->AddProjectionBackward(
          exec, projection, out_->grad, h_, slopes_.shape[0],
          [&](IndexRange some, TensorView dout) {
            ops_->products().SwigluGradient(exec, projection, dout,
                                            RowsOf(slopes_, some));
          });
    }
    ops_->NormProjectBackward(exec, GateUpProjection(layer_),
                              layer_.layer_weights().mlp_norm, normed_, slopes_,
                              x_);
  }

 private:
  CudaOps* ops_;
  LayerContext layer_;
  Normed normed_;
  TensorView slopes_;  // become the gradients of gate and up
  TensorView h_;       // undefined without an adapter on the down projection
  Variable* x_;
  Variable* out_;
};

}  // namespace

Projection QkvProjection(const LayerContext& layer) {
  return layer.WithLora(
      layer.layer_weights().qkv,
      {ProjectionName::kQ, ProjectionName::kK, ProjectionName::kV});
}

Projection OutputProjection(const LayerContext& layer) {
  return layer.WithLora(layer.layer_weights().o, {ProjectionName::kO});
}

Projection GateUpProjection(const LayerContext& layer) {
  return layer.WithLora(layer.layer_weights().gate_up,
                        {ProjectionName::kGate, ProjectionName::kUp});
}

Projection DownProjection(const LayerContext& layer) {
  return layer.WithLora(layer.layer_weights().down, {ProjectionName::kDown});
}

QkvViews SplitQkvRows(const LayerContext& layer, TensorView qkv) {
  const int64_t d = layer.head_dim(), h = layer.heads(), k = layer.kv_heads();
  const auto part = [&](int64_t begin, int64_t heads) {
    TensorView view(static_cast<uint16_t*>(qkv.data) + begin * d, DType::kBF16,
                    {qkv.shape[0], heads, d});
    view.stride[0] = qkv.stride[0];
    return view;
  };
  return {part(0, h), part(h, k), part(h + k, k)};
}

CudaOps::Normed CudaOps::Norm(Execution& exec, const Projection& projection,
                              const Tensor& weight, float epsilon,
                              ConstTensorView x, int64_t rows) {
  Normed out;
  out.inv_rms = exec.device_arena().AllocateF32({x.shape[0]});
  out.y =
      AllocateRows(exec, rows, x.shape[1], CudaProducts::RoomOf(projection));
  NormInto(exec, weight, epsilon, x, out);
  return out;
}

void CudaOps::NormInto(Execution& exec, const Tensor& weight, float epsilon,
                       ConstTensorView x, const Normed& out) {
  if (!device_->ok()) return;
  kernels::RmsNormForwardCuda(exec.ctx, x, weight, epsilon,
                              MyDeviceRows(exec, out.y), out.inv_rms);
}

void CudaOps::AddProjection(Execution& exec, const Projection& projection,
                            TensorView y, TensorView x, TensorView out) {
  if (exec.collective->size() == 1) {
    products_.Forward(exec, projection, y, x, out);
    return;
  }
  ArenaScope scratch(exec.arena);
  const TensorView partial = AllocateRows(exec, y.shape[0], x.shape[1]);
  SumDeviceRows(
      exec, partial, x, out,
      [&](IndexRange rows, TensorView some) {
        products_.Forward(exec, projection, RowsOf(y, rows), ConstTensorView(),
                          some);
      },
      // A student runs under the exchange of rows that ends its layer.
      [&] {
        if (transferring_) MarkTeacher();
      });
}

void CudaOps::AddProjectionBackward(
    Execution& exec, const Projection& projection, TensorView dout,
    TensorView y, int64_t rows,
    absl::FunctionRef<void(IndexRange some, TensorView dout)> each) {
  const int64_t room = CudaProducts::RoomOf(projection);
  const TensorView all = PlaceDeviceRows(exec, dout, rows, room);
  GatherDeviceRows(exec, all, /*keep=*/room > 0, each);
  products_.AdapterGradients(exec, projection, all, y);
}

void CudaOps::NormProjectBackward(Execution& exec, const Projection& projection,
                                  const Tensor& norm_weight,
                                  const Normed& normed, TensorView dy,
                                  Variable* x) {
  if (!x->needs_grad) {
    products_.InputGradient(exec, projection, dy, TensorView());
    products_.AdapterGradients(exec, projection, dy, normed.y);
    return;
  }
  ArenaScope scratch(exec.arena);
  const TensorView dn = AllocateRows(exec, dy.shape[0], x->value.shape[1]);
  const TensorView mine = MyDeviceRows(exec, dn);
  SumDeviceRows(
      exec, dn, ConstTensorView(), mine,
      [&](IndexRange rows, TensorView some) {
        products_.InputGradient(exec, projection, RowsOf(dy, rows), some);
      },
      [&] { products_.AdapterGradients(exec, projection, dy, normed.y); });
  if (!device_->ok()) return;
  kernels::RmsNormBackwardCuda(exec.ctx, mine, x->value, norm_weight,
                               normed.inv_rms, /*accumulate_dx=*/true, x->grad,
                               TensorView(), Workspace());
}

void CudaOps::RotateBack(Execution& exec, const LayerContext& layer,
                         const TokenBatch& batch, TensorView qkv) {
  if (!device_->ok()) return;
  // q and k lie side by side: one call rotates the heads of both.
  TensorView qk = SplitQkvRows(layer, qkv).q;
  qk.shape[1] = layer.heads() + layer.kv_heads();
  kernels::RopeCuda(exec.ctx, qk, batch.positions, layer.weights->rope_cos,
                    layer.weights->rope_sin, /*inverse=*/true);
}

Variable* CudaOps::ProjectQkv(Execution& exec, const LayerContext& layer,
                              const TokenBatch& batch, Variable* x) {
  const LayerWeights& w = layer.layer_weights();
  const float epsilon = layer.weights->config.rms_norm_eps;
  const Projection projection = QkvProjection(layer);
  Variable* qkv = exec.arena->New<Variable>();
  if (transferring_) {
    AwaitStudent(layer);
    teacher_marked_ = false;
    qkv->value = StudentOf(layer).qkv;
  } else {
    qkv->value = AllocateRows(exec, batch.rows(), w.qkv.out_features());
  }
  const Arena::Mark kept = exec.arena->mark();
  const Normed normed =
      Norm(exec, projection, w.attention_norm, epsilon, x->value, batch.rows());
  const bool keep =
      exec.tape != nullptr && CudaProducts::RoomOf(projection) > 0;
  CudaProducts::Rotation rotation;
  rotation.heads = layer.heads() + layer.kv_heads();
  rotation.cos = layer.weights->rope_cos;
  rotation.sin = layer.weights->rope_sin;
  GatherDeviceRows(exec, normed.y, keep, [&](IndexRange rows, TensorView y) {
    rotation.positions = ConstTensorView(
        static_cast<const int32_t*>(batch.positions.data) + rows.begin,
        DType::kI32, {rows.size()});
    products_.ForwardRotated(exec, projection, y, rotation,
                             RowsOf(qkv->value, rows));
  });
  CheckFinite(exec, layer.layer, "q, k, v", qkv->value);
  if (exec.tape == nullptr) {
    exec.arena->Release(kept);
  } else {
    exec.tape->Record<ProjectQkvGradient>(this, layer, batch, normed, x, qkv);
  }
  return qkv;
}

Variable* CudaOps::ProjectOutput(Execution& exec, const LayerContext& layer,
                                 Variable* y, Variable* x) {
  Variable* out = ResidualOutput(exec, x);
  AddProjection(exec, OutputProjection(layer), y->value, x->value, out->value);
  CheckFinite(exec, layer.layer, "attention output", out->value);
  if (exec.tape != nullptr) {
    exec.tape->Record<ProjectOutputGradient>(this, layer, y, x, out);
  }
  return out;
}

Variable* CudaOps::Mlp(Execution& exec, const LayerContext& layer,
                       const TokenBatch& batch, Variable* x) {
  const LayerWeights& w = layer.layer_weights();
  const float epsilon = layer.weights->config.rms_norm_eps;
  const Projection up_projection = GateUpProjection(layer);
  const Projection down_projection = DownProjection(layer);
  const int64_t rows = batch.rows(), inner = w.down.in_features();
  const int64_t up_room = CudaProducts::RoomOf(up_projection);
  const int64_t down_room = CudaProducts::RoomOf(down_projection);
  Variable* out = ResidualOutput(exec, x);
  const Arena::Mark kept = exec.arena->mark();
  TensorView slopes;  // of a forward alone nothing is kept
  if (exec.tape != nullptr) {
    slopes = AllocateRows(exec, rows, 2 * inner, up_room);
  }
  TensorView h;
  if (down_room > 0) h = AllocateRows(exec, rows, inner, down_room);
  Normed normed;
  if (up_room > 0) {
    normed = Norm(exec, up_projection, w.mlp_norm, epsilon, x->value, rows);
  } else {
    normed.inv_rms = exec.device_arena().AllocateF32({x->value.shape[0]});
  }
  {
    ArenaScope scratch(exec.arena);
    if (up_room == 0) {
      // Without adapters nothing looks at it again.
      normed.y = AllocateRows(exec, rows, x->value.shape[1]);
      NormInto(exec, w.mlp_norm, epsilon, x->value, normed);
    }
    const TensorView product =
        down_room > 0 ? h : AllocateRows(exec, rows, inner);
    GatherDeviceRows(exec, normed.y, /*keep=*/up_room > 0,
                     [&](IndexRange some, TensorView y) {
                       products_.ForwardSwiglu(
                           exec, up_projection, y,
                           slopes.defined() ? RowsOf(slopes, some) : slopes,
                           RowsOf(product, some));
                     });
    AddProjection(exec, down_projection, product, x->value, out->value);
    if (up_room == 0) normed.y = TensorView();
  }
  CheckFinite(exec, layer.layer, "MLP output", out->value);
  if (exec.tape == nullptr) {
    exec.arena->Release(kept);
  } else {
    exec.tape->Record<MlpGradient>(this, layer, normed, slopes, h, x, out);
  }
  return out;
}

}  // namespace caracal
