#include "core/model/linear_weight.h"

#include <algorithm>
#include <cstring>

#include "kernels/embedding/embedding.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quant/dequantize.h"
#include "kernels/quant/mat_vec.h"

namespace caracal {
namespace {

// Up to so many rows of x, decoding weights inside the product is faster than
// writing them out first.
constexpr int64_t kMaxMatVecRows = 16;

// Rows of W written out at a time: they stay in the cache for their product.
constexpr int64_t kPanelRows = 512;

// Columns [begin, begin + count).
TensorView Columns(TensorView y, int64_t begin, int64_t count) {
  y.data = y.f32() + begin;
  y.shape[1] = count;
  return y;
}

}  // namespace

LinearWeight::LinearWeight(Tensor dense)
    : out_(dense.dim(0)), in_(dense.dim(1)), dense_(std::move(dense)) {}

LinearWeight::LinearWeight(Tensor folded, int64_t in, int64_t room)
    : out_(folded.dim(0) - room), in_(in), room_(room) {
  TensorView view = folded.view();
  CARACAL_CHECK(view.shape[1] >= in + room)
      << view.shape[1] << " columns for " << in << " and room for " << room;
  view.shape[1] = in + room;
  folded_ = folded.Alias(view);
  view.shape[0] = out_;
  view.shape[1] = in_;
  dense_ = folded.Alias(view);
}

LinearWeight::LinearWeight(std::vector<EncodedMatrix> parts)
    : parts_(std::make_shared<const std::vector<EncodedMatrix>>(
          std::move(parts))) {
  for (const EncodedMatrix& part : *parts_) {
    CARACAL_CHECK(in_ == 0 || in_ == part.view.columns)
        << in_ << " and " << part.view.columns << " columns";
    in_ = part.view.columns;
    out_ += part.view.rows;
  }
}

ConstTensorView LinearWeight::dense() const {
  CARACAL_CHECK(dense_.defined()) << "the weight is kept encoded";
  return dense_;
}

void LinearWeight::MultiplyTransposed(Execution& exec, ConstTensorView x,
                                      float beta, TensorView y) const {
  const auto no = kernels::Transpose::kNo, yes = kernels::Transpose::kYes;
  if (dense_.defined()) {
    kernels::MatMul(exec.ctx, no, yes, 1.0f, x, dense_.view(), beta, y);
    return;
  }
  int64_t begin = 0;
  for (const EncodedMatrix& part : *parts_) {
    const EncodedView w = part.view;
    if (x.shape[0] <= kMaxMatVecRows) {
      kernels::QuantMatVec(exec.ctx, w, x, Columns(y, begin, w.rows), beta);
      begin += w.rows;
      continue;
    }
    ArenaScope scratch(exec.arena);
    const TensorView panel =
        exec.arena->AllocateF32({std::min(kPanelRows, w.rows), in_});
    for (int64_t r = 0; r < w.rows; r += kPanelRows) {
      const int64_t n = std::min(kPanelRows, w.rows - r);
      TensorView rows = panel;
      rows.shape[0] = n;
      kernels::Dequantize(exec.ctx, w.Rows(r, r + n), rows);
      kernels::MatMul(exec.ctx, no, yes, 1.0f, x, rows, beta,
                      Columns(y, begin + r, n));
    }
    begin += w.rows;
  }
}

void LinearWeight::Gather(Execution& exec, ConstTensorView ids,
                          int64_t first_row, TensorView y) const {
  if (dense_.defined()) {
    kernels::EmbeddingForward(exec.ctx, ids, dense_.view(), first_row, y);
    return;
  }
  for (int64_t i = 0; i < ids.shape[0]; ++i) {
    int64_t row = ids.As<int32_t>()[i] - first_row;
    float* out = y.f32() + i * in_;
    if (row < 0 || row >= out_) {
      std::memset(out, 0, in_ * sizeof(float));
      continue;
    }
    for (const EncodedMatrix& part : *parts_) {
      const EncodedView w = part.view;
      if (row < w.rows) {
        kernels::DequantizeRow(w.encoding, w.row(row), in_, out);
        break;
      }
      row -= w.rows;
    }
  }
}

}  // namespace caracal
