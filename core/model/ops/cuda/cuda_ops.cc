#include "core/model/ops/cuda/cuda_ops.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/ops/cuda/decoding.h"
#include "core/model/ops/make_cuda_ops.h"
#include "kernels/matmul/matmul_cuda.h"
#include "kernels/matmul/matmul_tiles.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<ModelOps>> MakeCudaOps(Device* device) {
  ASSIGN_OR_RETURN(
      Tensor scratch,
      device->Allocate(DType::kU8, {static_cast<int64_t>(
                                       kernels::kMatMulCudaWorkspaceBytes)}));
  ASSIGN_OR_RETURN(
      Tensor tiles,
      device->Allocate(DType::kU8,
                       {static_cast<int64_t>(kernels::kMatMulTilesBytes)}));
  device->SetZero(tiles.view().data, tiles.bytes());
  ASSIGN_OR_RETURN(Tensor sums,
                   device->Allocate(DType::kI64, {CudaOps::kMostSums}));
  return std::unique_ptr<ModelOps>(new CudaOps(
      device, std::move(scratch), std::move(tiles), std::move(sums)));
}

CudaOps::CudaOps(Device* device, Tensor scratch, Tensor tiles, Tensor sums)
    : device_(device),
      products_(std::move(scratch), std::move(tiles)),
      sums_(std::move(sums)),
      sum_values_(kMostSums) {
  hand_outs_.reserve(4);
}

TokenBatch CudaOps::Place(Execution& exec, const TokenBatch& batch) {
  TokenBatch placed = batch;
  for (ConstTensorView* view : {&placed.tokens, &placed.positions}) {
    const TensorView there = exec.device_arena().AllocateI32({view->shape[0]});
    device_->Upload(view->data, view->size() * sizeof(int32_t), there.data);
    *view = there;
  }
  return placed;
}

uint32_t CudaOps::UsePlan(Execution& exec, const ModePlan& plan) {
  const std::vector<uint8_t>& terms = plan.all_terms();
  const TensorView there = exec.device_arena().Allocate(
      DType::kU8, {static_cast<int64_t>(terms.size())});
  device_->Upload(terms.data(), terms.size(), there.data);
  plan_ = {&plan, static_cast<const uint8_t*>(there.data), plan.term_kinds()};
  return plan_.kinds;
}

void CudaOps::UseAdapters(Execution& exec, const LlamaWeights& weights,
                          const Adapters& adapters) {
  adapted_.clear();
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerContext layer{&weights, &adapters, static_cast<int>(i), true};
    for (const Projection& projection :
         {QkvProjection(layer), OutputProjection(layer),
          GateUpProjection(layer), DownProjection(layer)}) {
      adapted_.push_back(projection);
    }
  }
  products_.Fold(exec, adapted_);
}

void CudaOps::BeginSums(Execution&, TransferSums* sums, int64_t count) {
  // As one array of numbers.
  static_assert(sizeof(TransferSums) % sizeof(double) == 0);
  static_assert(std::is_standard_layout_v<TransferSums>);
  host_sums_ = reinterpret_cast<double*>(sums);
  sum_count_ = count * static_cast<int64_t>(sizeof(*sums) / sizeof(double));
  CARACAL_CHECK(sum_count_ <= kMostSums) << count << " layers";
  device_->SetZero(sums_.view().data, sum_count_ * sizeof(double));
}

double* CudaOps::SumFor(double* host) {
  const int64_t i = host - host_sums_;
  CARACAL_CHECK(i >= 0 && i < sum_count_) << "a sum without BeginSums";
  return static_cast<double*>(sums_.view().data) + i;
}

absl::StatusOr<std::unique_ptr<DecodingSession>> CudaOps::StartDecoding(
    const Execution& exec, const LlamaWeights& weights, Adapters* adapters,
    const ModePlan& plan) {
  return CudaDecoding::Make(this, exec, weights, adapters, plan);
}

void CudaOps::Finish(Execution& exec) {
  device_->Download(sums_.view().data, sum_count_ * sizeof(double),
                    sum_values_.data());
  for (const HandOut& h : hand_outs_) {
    device_->Download(h.from.data, h.from.size() * sizeof(*h.values), h.values);
  }
  exec.Fail(device_->Wait());
  device_->EndPass();
  for (int64_t i = 0; i < sum_count_; ++i) host_sums_[i] += sum_values_[i];
  for (const HandOut& h : hand_outs_) {
    auto* const to = static_cast<uint32_t*>(h.to);
    for (int64_t i = 0; i < h.from.size(); ++i) to[h.rows[i]] = h.values[i];
  }
  host_sums_ = nullptr;
  sum_count_ = 0;
  plan_ = {};
  loss_ = {};
  hand_outs_.clear();
}

void CudaOps::CheckFinite(Execution& exec, int layer, absl::string_view tensor,
                          ConstTensorView value) {
  if (!exec.check_finite || !exec.status.ok()) return;
  const int64_t rows = value.rank == 1 ? 1 : value.shape[0];
  const int64_t columns = value.shape[value.rank - 1];
  const int64_t stride = value.rank == 1 ? columns : value.stride[0];
  const auto size = static_cast<int64_t>(SizeOf(value.dtype));
  const bool wide = value.dtype != DType::kBF16;
  // As many rows with a wait as come without another one.
  constexpr int64_t kBytes = int64_t{4} << 20;
  const int64_t block = std::max<int64_t>(1, kBytes / (columns * size));
  std::vector<std::byte> values(std::min(block, rows) * columns * size);
  const auto at = [&](int64_t i) {
    return wide ? reinterpret_cast<const float*>(values.data())[i]
                : FloatFromBf16(
                      reinterpret_cast<const uint16_t*>(values.data())[i]);
  };
  for (int64_t first = 0; first < rows; first += block) {
    const int64_t count = std::min(block, rows - first);
    for (int64_t r = 0; r < count; ++r) {
      device_->Download(
          static_cast<const char*>(value.data) + (first + r) * stride * size,
          columns * size, values.data() + r * columns * size);
    }
    exec.Fail(device_->Wait());
    if (!exec.status.ok()) return;
    for (int64_t i = 0; i < count * columns; ++i) {
      if (std::isfinite(at(i))) continue;
      const std::string where =
          layer < 0 ? std::string(tensor)
                    : absl::StrCat("layer ", layer, ", ", tensor);
      exec.Fail(absl::DataLossError(absl::StrCat(
          where, ": element ", first * columns + i, " is ", at(i))));
      return;
    }
  }
}

int64_t StreamRoom(const LlamaWeights& weights) {
  if (weights.layers.empty()) return 0;
  const LayerWeights& w = weights.layers[0];
  return std::max(w.o.room(), w.down.room());
}

}  // namespace caracal
