#include "jobs/bench/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/ops/model_ops.h"
#include "core/tensor/tensor.h"
#include "dist/nccl/device_groups.h"
#include "jobs/bench/decoding_bench.h"
#include "jobs/bench/device_matrix_rate.h"
#include "jobs/bench/memory.h"
#include "jobs/bench/speed.h"
#include "jobs/bench/synthetic_weights.h"
#include "jobs/bench/training_bench.h"
#include "jobs/model/choose_device.h"
#include "jobs/model/compute.h"
#include "jobs/model/rank_gpu.h"
#include "kernels/hybrid_attention/weight_loss_cuda_limits.h"
#include "kernels/matmul/matmul.h"

namespace caracal {
namespace {

// The best rate of plain products with the model's matrices, weighted as a
// forward pass has them.
absl::StatusOr<double> MatrixRate(Compute& compute, const ModelConfig& m,
                                  int64_t rows) {
  const int64_t c = m.hidden_size, d = m.head_dim;
  const MatrixShape shapes[] = {{(m.heads + 2 * m.kv_heads) * d, c},
                                {c, m.heads * d},
                                {2 * m.intermediate_size, c},
                                {c, m.intermediate_size}};
  if (compute.device() != nullptr) {
    return DeviceMatrixRate(compute.device(), rows, shapes);
  }
  double flops = 0, seconds = 0;
  for (const auto& [n, k] : shapes) {
    const Tensor x = Tensor::Zeros(DType::kF32, {rows, k});
    const Tensor w = Tensor::Zeros(DType::kF32, {n, k});
    const Tensor y = Tensor::Zeros(DType::kF32, {rows, n});
    double best = 1e30;
    for (int i = 0; i < 8; ++i) {
      const double start = SecondsNow();
      kernels::MatMul(compute.context(), kernels::Transpose::kNo,
                      kernels::Transpose::kYes, 1.0f, x, w, 0.0f, y);
      best = std::min(best, SecondsNow() - start);
    }
    flops += 2.0 * static_cast<double>(rows * n * k);
    seconds += best;
  }
  return flops / seconds;
}

// "auto" becomes what it stands for: the same on all ranks.
absl::StatusOr<std::string> DeviceOf(const BenchOptions& o,
                                     const ModelConfig& model, Gang& gang) {
  if (o.device != "auto") return o.device;
  double found = FindCuda().ok() && CheckCudaModel(model).ok() ? 1 : 0;
  RETURN_IF_ERROR(gang.Sum(absl::MakeSpan(&found, 1)));
  return found == gang.size() ? "cuda" : "cpu";
}

// What the stage or the device has no use for.
absl::Status CheckUses(const BenchOptions& o) {
  const auto refuse = [](const char* option, const char* why) {
    return absl::InvalidArgumentError(absl::StrCat(option, ": ", why));
  };
  if (o.drop > 0 && o.stage != "finetune") {
    return refuse("--drop", "only a fine-tune drops parts");
  }
  if (o.loss != "mse" && o.stage != "transfer") {
    return refuse("--loss", "only transfer has a choice of losses");
  }
  if (o.micro_batch > 0 && o.stage == "decode") {
    return refuse("--micro-batch", "decoding takes all sequences at a time");
  }
  if (o.launches && (o.stage == "decode" || o.device == "cpu")) {
    return refuse("--launches", "only training on a GPU takes graphs");
  }
  if (o.device == "cpu" && o.stage == "decode" && o.batch != 1) {
    return absl::UnimplementedError(
        "--batch: the CPU decodes one sequence at a time");
  }
  return absl::OkStatus();
}

// This rank's GPU; the gang's groups then meet on them.
absl::Status UseGpu(Compute& compute, Gang& gang) {
  ASSIGN_OR_RETURN(const int index, GpuOfRank(gang, CudaBusIds()));
  RETURN_IF_ERROR(gang.Agree(compute.UseCuda(index)));
  if (gang.alone()) return absl::OkStatus();
  return gang.Wrap([&](AxisGroups groups) {
    return OnDevice(std::move(groups), compute.device(), gang.stall(),
                    [](const std::string&) {});
  });
}

absl::StatusOr<std::unique_ptr<WeightSource>> Source(const BenchOptions& o) {
  return o.model.empty() ? SyntheticModel(o.shape) : OpenModel(o.model);
}

absl::Status CheckCudaRuns(const BenchOptions& o, const ModelConfig& model) {
  const absl::Status runs = CheckCudaModel(model);
  if (!runs.ok()) return OrOnCpu(runs);
  if (o.loss != "xent") return absl::OkStatus();
  size_t block_bytes = 0;
  RETURN_IF_ERROR(FindCuda(&block_bytes));
  const int64_t most =
      kernels::WeightLossCudaMostFeatures(model.head_dim, block_bytes) / 2;
  const int64_t features = o.features > 0 ? o.features : model.head_dim;
  if (features <= most) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("--features: ", features,
                   ", where a loss on attention weights runs with "
                   "up to ",
                   most, " on this GPU"));
}

// Before a single weight is read. `form`: of the weights in memory.
absl::Status CheckModel(const BenchOptions& o, const WeightSource& source,
                        WeightForm form) {
  const int64_t positions =
      o.seq_len + (o.stage == "decode" ? o.new_tokens : 0);
  if (positions > source.config().max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("--seq-len: ", positions,
                     " positions are more than the model's "
                     "context of ",
                     source.config().max_positions));
  }
  if (o.device == "cuda") return CheckCudaRuns(o, source.config());
  // Blocks of a file stay in the file; random weights have no other form.
  if (form == WeightForm::kBlocks && !o.model.empty()) return absl::OkStatus();
  return CheckWeightsFit(
      o.model.empty() ? absl::StrCat("--shape ", o.shape) : o.model, source,
      AvailableMemoryBytes());
}

// Which go before it.
struct GroupsOnDevice {
  Compute* compute;
  Gang* gang;
  ~GroupsOnDevice() {
    if (compute->device() != nullptr) gang->Close();
  }
};

absl::StatusOr<BenchResult> Run(BenchOptions o, Gang& gang) {
  BenchResult result;
  ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> source, Source(o));
  ASSIGN_OR_RETURN(o.device, DeviceOf(o, source->config(), gang));
  RETURN_IF_ERROR(CheckUses(o));
  Compute compute(o.threads);
  const GroupsOnDevice groups{&compute, &gang};
  const bool decode = o.stage == "decode";
  const WeightForm form =
      decode && o.device == "cpu" ? WeightForm::kBlocks : WeightForm::kDense;
  RETURN_IF_ERROR(CheckModel(o, *source, form));
  if (o.device == "cuda") RETURN_IF_ERROR(UseGpu(compute, gang));
  result.threads = compute.context().pool->threads();
  RETURN_IF_ERROR(decode ? MeasureDecoding(o, *source, form, compute, &result)
                         : MeasureTraining(o, *source, compute, gang, &result));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  result.device = "CPU";
  if (compute.device() != nullptr) {
    result.peak_bytes = compute.device()->peak_bytes();
    result.device = compute.device()->name();
  }
  ASSIGN_OR_RETURN(result.matrix_rate,
                   MatrixRate(compute, source->config(), o.batch * o.seq_len));
  result.ranks = static_cast<int>(gang.size());
  result.mfu = result.tokens_per_s * result.flops.total() /
               (result.matrix_rate * result.ranks);
  return result;
}

}  // namespace

absl::StatusOr<BenchResult> RunBench(const BenchOptions& options) {
  if (options.stage != "transfer" && options.stage != "finetune" &&
      options.stage != "decode") {
    return absl::InvalidArgumentError(
        absl::StrCat("--stage: there is no '", options.stage,
                     "'; use transfer, finetune or decode"));
  }
  RETURN_IF_ERROR(CheckDevice(options.device));
  if (options.gang != nullptr && options.stage == "decode") {
    return absl::UnimplementedError(
        "several ranks: measured are the stages transfer and finetune");
  }
  Gang alone;
  return Run(options, options.gang == nullptr ? alone : *options.gang);
}

}  // namespace caracal
