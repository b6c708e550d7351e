#include "jobs/train/held_out_probe.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/base/status.h"

namespace caracal {
namespace {

// A look at each layer, not a measurement of the model: masses of a few
// thousand positions are close.
constexpr int64_t kMassRows = 8;

}  // namespace

HeldOutProbe::HeldOutProbe(Llama* model, Execution exec, Gang* gang,
                           PackedDataset* data, int64_t rows, int64_t seq_len,
                           int64_t micro_batch, bool reset_at_document)
    : model_(model),
      exec_(exec),
      gang_(gang),
      data_(data),
      rows_(std::min(rows, data->rows())),
      micro_batch_(std::min(micro_batch, rows_)),
      batch_(micro_batch_, seq_len, reset_at_document) {}

absl::StatusOr<double> HeldOutProbe::Loss(ComponentMode mode, bool past_only) {
  const auto& attention = model_->adapters().config().attention;
  double sum = 0, count = 0;
  const IndexRange mine =
      Shard{gang_->place().data, gang_->shape().data}.Of(rows_);
  for (int64_t begin = mine.begin; begin < mine.end; begin += micro_batch_) {
    const int64_t n = std::min(micro_batch_, mine.end - begin);
    RETURN_IF_ERROR(
        batch_.Fill(*data_, n, [&](int64_t i) { return begin + i; }));
    const TokenBatch tokens = batch_.Rows(0, n);
    const int64_t targets = n * batch_.seq_len();
    exec_.arena->Reset();
    model_->Plan(tokens, mode, &plan_);
    const TensorView nll = exec_.arena->AllocateF32({targets});
    model_->Evaluate(exec_, tokens, plan_, nll, TensorView(), nullptr);
    RETURN_IF_ERROR(exec_.status);
    for (int64_t i = 0; i < targets; ++i) {
      if (!batch_.mask()[i]) continue;
      if (past_only &&
          LinearSetEmpty(attention, batch_.positions()[i], batch_.seq_len())) {
        continue;
      }
      sum += nll.f32()[i];
      ++count;
    }
  }
  std::array<double, 2> all = {gang_->speaks_for_tensor_group() * sum,
                               gang_->speaks_for_tensor_group() * count};
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(all)));
  sum = all[0];
  count = all[1];
  if (count == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        data_->path(), ": no scored target of its first ", rows_, " rows",
        past_only ? " has a key outside window and sinks" : ""));
  }
  return sum / count;
}

absl::StatusOr<std::vector<double>> HeldOutProbe::LaMassByLayer() {
  const int64_t layers = model_->weights().config.layers;
  CARACAL_CHECK(model_->layers() == layers) << "a rank without all layers";
  AttentionStatistics statistics(layers, model_->heads());
  const IndexRange mine = Shard{gang_->place().data, gang_->shape().data}.Of(
      std::min(rows_, kMassRows));
  for (int64_t begin = mine.begin; begin < mine.end; begin += micro_batch_) {
    const int64_t n = std::min(micro_batch_, mine.end - begin);
    RETURN_IF_ERROR(
        batch_.Fill(*data_, n, [&](int64_t i) { return begin + i; }));
    const TokenBatch tokens = batch_.Rows(0, n);
    exec_.arena->Reset();
    model_->Plan(tokens, ComponentMode::kHybrid, &plan_);
    const TensorView nll = exec_.arena->AllocateF32({n * batch_.seq_len()});
    model_->Evaluate(exec_, tokens, plan_, nll, TensorView(), &statistics);
    RETURN_IF_ERROR(exec_.status);
  }
  // Of each layer, over this rank's heads and rows: the sum, and of how many.
  std::vector<double> sums(2 * layers, 0.0);
  for (int64_t l = 0; l < layers; ++l) {
    for (int64_t h = 0; h < model_->heads(); ++h) {
      const double rows = static_cast<double>(statistics.rows(l, h));
      sums[2 * l] += rows * statistics.la_mass(l, h);
      sums[2 * l + 1] += rows;
    }
  }
  RETURN_IF_ERROR(gang_->Sum(absl::MakeSpan(sums)));
  std::vector<double> mass(layers, std::numeric_limits<double>::quiet_NaN());
  for (int64_t l = 0; l < layers; ++l) {
    if (sums[2 * l + 1] > 0) mass[l] = sums[2 * l] / sums[2 * l + 1];
  }
  return mass;
}

}  // namespace caracal
