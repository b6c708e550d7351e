#include "jobs/bench/bench.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/model/decoder.h"
#include "core/model/llama.h"
#include "core/model/ops/model_ops.h"
#include "core/optim/adamw.h"
#include "core/tensor/tensor.h"
#include "dist/gradients/gradient_sync.h"
#include "dist/nccl/device_groups.h"
#include "jobs/bench/device_copy_rate.h"
#include "jobs/bench/device_matrix_rate.h"
#include "jobs/bench/memory.h"
#include "jobs/bench/synthetic_weights.h"
#include "jobs/model/compute.h"
#include "jobs/model/rank_gpu.h"
#include "jobs/train/component_dropout.h"
#include "kernels/causal_attention/causal_attention.h"
#include "kernels/matmul/matmul.h"

namespace caracal {
namespace {

double Now() { return absl::ToDoubleSeconds(Clock::Real()->Now()); }

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
      const double start = Now();
      kernels::MatMul(compute.context(), kernels::Transpose::kNo,
                      kernels::Transpose::kYes, 1.0f, x, w, 0.0f, y);
      best = std::min(best, Now() - start);
    }
    flops += 2.0 * static_cast<double>(rows * n * k);
    seconds += best;
  }
  return flops / seconds;
}

// Rows of pseudo-random tokens.
struct Rows {
  std::vector<int32_t> tokens, targets, positions;
  std::vector<int64_t> offsets;

  Rows(int64_t rows, int64_t length, int64_t vocabulary) {
    uint64_t state = 1;
    for (int64_t r = 0; r <= rows; ++r) offsets.push_back(r * length);
    for (int64_t i = 0; i < rows * length; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      tokens.push_back(static_cast<int32_t>((state >> 33) % vocabulary));
      targets.push_back(static_cast<int32_t>((state >> 20) % vocabulary));
      positions.push_back(static_cast<int32_t>(i % length));
    }
  }
  TokenBatch Batch() {
    const int64_t n = offsets.back();
    TokenBatch batch;
    batch.sequences = static_cast<int64_t>(offsets.size()) - 1;
    batch.offsets = offsets.data();
    batch.tokens = TensorView(tokens.data(), {n});
    batch.targets = TensorView(targets.data(), {n});
    batch.positions = TensorView(positions.data(), {n});
    return batch;
  }
};

class Bench {
 public:
  Bench(const BenchOptions& o) : o_(o), compute_(o.threads) {}

  absl::StatusOr<BenchResult> Run();

 private:
  absl::Status Load();
  absl::Status UseGpu();
  // Seconds of one step of a training stage.
  absl::StatusOr<double> TransferStep(Rows& rows);
  absl::StatusOr<double> FinetuneStep(Rows& rows);
  // What follows on the gradients.
  absl::Status Update();
  // Seconds of the teacher's attention in a transfer step, all layers.
  double TeacherAttentionSeconds();
  absl::Status RunTraining(BenchResult* result);
  absl::Status RunDecode(BenchResult* result);
  // A prompt pass and o_.new_tokens greedy tokens: seconds of both.
  struct DecodeSeconds {
    double prefill = 0, tokens = 0;
  };
  absl::StatusOr<DecodeSeconds> DecodeOnHost(Decoder& decoder, Rows& rows);
  absl::StatusOr<DecodeSeconds> DecodeOnDevice(DecodingSession& session,
                                               Rows& rows);

  Gang& gang() { return o_.gang == nullptr ? alone_ : *o_.gang; }
  Execution execution() {
    Execution exec = compute_.execution();
    exec.collective = &gang().tensor();
    return exec;
  }
  int64_t ranks() { return gang().size(); }

  const BenchOptions& o_;
  Gang alone_;
  Compute compute_;
  std::unique_ptr<WeightSource> source_;
  LlamaWeights weights_;
  std::unique_ptr<Adapters> adapters_;
  std::unique_ptr<Llama> llama_;
  ModePlan plan_;
  ComponentMode mode_ = ComponentMode::kHybrid;  // of the student in training
  std::optional<GradientSync> sync_;
  std::optional<AdamW> optimizer_;
  std::function<void(int)> layer_done_;
  std::vector<double> squares_;
  int64_t step_ = 0;
};

absl::Status Bench::UseGpu() {
  ASSIGN_OR_RETURN(const int index, GpuOfRank(gang(), CudaBusIds()));
  RETURN_IF_ERROR(gang().Agree(compute_.UseCuda(index)));
  if (gang().alone()) return absl::OkStatus();
  return gang().Wrap([this](AxisGroups groups) {
    return OnDevice(std::move(groups), compute_.device(), gang().stall(),
                    [](const std::string&) {});
  });
}

absl::Status Bench::Load() {
  if (o_.model.empty()) {
    ASSIGN_OR_RETURN(source_, SyntheticModel(o_.shape));
  } else {
    ASSIGN_OR_RETURN(source_, OpenModel(o_.model));
  }
  const WeightForm form = o_.stage == "decode" && o_.device == "cpu"
                              ? WeightForm::kBlocks
                              : WeightForm::kDense;
  // Before a single weight is read.
  const int64_t positions =
      o_.seq_len + (o_.stage == "decode" ? o_.new_tokens : 0);
  if (positions > source_->config().max_positions) {
    return absl::InvalidArgumentError(
        absl::StrCat("--seq-len: ", positions,
                     " positions are more than the model's "
                     "context of ",
                     source_->config().max_positions));
  }
  // Blocks of a file stay in the file; random weights have no other form.
  if (form == WeightForm::kDense || o_.model.empty()) {
    if (o_.device == "cpu") {
      RETURN_IF_ERROR(CheckWeightsFit(
          o_.model.empty() ? absl::StrCat("--shape ", o_.shape) : o_.model,
          *source_, AvailableMemoryBytes()));
    }
  }
  StudentConfig student;
  student.attention.window = o_.window;
  student.attention.sinks = o_.sinks;
  student.features = o_.features > 0 ? o_.features : source_->config().head_dim;
  if (o_.device == "cuda") {
    RETURN_IF_ERROR(CheckCudaModel(source_->config()));
    RETURN_IF_ERROR(UseGpu());
  }
  ASSIGN_OR_RETURN(
      weights_, LlamaWeights::Load(
                    compute_.context(), *source_,
                    Shard{gang().place().tensor, gang().shape().tensor}, form,
                    {}, {.device = compute_.device(), .lora = &student.lora}));
  adapters_ = std::make_unique<Adapters>(weights_.adapter_shape(), student);
  adapters_->Initialize(0);
  if (compute_.device() != nullptr) {
    RETURN_IF_ERROR(adapters_->parameters().PlaceOn(compute_.device()));
  }
  llama_ = std::make_unique<Llama>(&weights_, adapters_.get());
  return absl::OkStatus();
}

absl::Status Bench::Update() {
  RETURN_IF_ERROR(sync_->Finish());
  const Context ctx = compute_.execution().ctx;
  std::fill(squares_.begin(), squares_.end(), 0.0);
  optimizer_->AddSquares(ctx, absl::MakeSpan(squares_));
  RETURN_IF_ERROR(gang().Sum(absl::MakeSpan(squares_)));
  optimizer_->Update(
      ctx, 1e-4f,
      std::sqrt(std::accumulate(squares_.begin(), squares_.end(), 0.0)));
  return sync_->GatherValues();
}

absl::StatusOr<double> Bench::TransferStep(Rows& rows) {
  const double start = Now();
  adapters_->parameters().ZeroGradients();
  std::vector<TransferSums> sums(llama_->layers());
  compute_.arena().Reset();
  Execution exec = execution();
  exec.layer_done = &layer_done_;
  const bool xent = o_.loss == "xent";
  llama_->TransferStep(exec, rows.Batch(),
                       {.terms = TermsOf(mode_),
                        .output_scale = xent ? 0.0f : 1e-6f,
                        .weight_scale = xent ? 1e-6f : 0.0f},
                       sums.data());
  RETURN_IF_ERROR(exec.status);
  RETURN_IF_ERROR(Update());
  return Now() - start;
}

absl::StatusOr<double> Bench::FinetuneStep(Rows& rows) {
  const double start = Now();
  adapters_->parameters().ZeroGradients();
  const int64_t micro = o_.micro_batch > 0 ? o_.micro_batch : o_.batch;
  const TokenBatch whole = rows.Batch();
  for (int64_t begin = 0; begin < o_.batch; begin += micro) {
    const int64_t n = std::min(micro, o_.batch - begin) * o_.seq_len;
    const int64_t first = begin * o_.seq_len;
    compute_.arena().Reset();
    TokenBatch batch = whole;
    batch.sequences = n / o_.seq_len;
    batch.tokens = TensorView(rows.tokens.data() + first, {n});
    batch.targets = TensorView(rows.targets.data() + first, {n});
    batch.positions = TensorView(rows.positions.data() + first, {n});
    llama_->Plan(batch, mode_, &plan_);
    if (o_.drop > 0) ApplyDrops({}, o_.drop, step_, begin, batch, &plan_);
    const TensorView weight = compute_.arena().AllocateF32({n});
    std::fill(weight.f32(), weight.f32() + n,
              1.0f / static_cast<float>(o_.batch * o_.seq_len));
    const TensorView nll = compute_.arena().AllocateF32({n});
    Tape tape(&compute_.arena());
    Execution exec = execution();
    exec.tape = &tape;
    if (begin + micro >= o_.batch) exec.layer_done = &layer_done_;
    llama_->FinetuneStep(exec, batch, plan_, weight, nll);
    RETURN_IF_ERROR(exec.status);
  }
  ++step_;
  RETURN_IF_ERROR(Update());
  return Now() - start;
}

double Bench::TeacherAttentionSeconds() {
  const ModelConfig& m = weights_.config;
  const int64_t rows = o_.batch * o_.seq_len, d = m.head_dim;
  const Rows tokens(o_.batch, o_.seq_len, m.vocab_size);
  const auto values = [&](int64_t heads) {
    Tensor t = Tensor::Empty(DType::kF32, {rows, heads, d});
    for (int64_t i = 0; i < t.size(); ++i) {
      t.f32()[i] = static_cast<float>(i * 7919 % 1000) * 1e-3f - 0.5f;
    }
    return t;
  };
  const Tensor q = values(m.heads), k = values(m.kv_heads);
  const Tensor v = values(m.kv_heads), y = values(m.heads);
  const kernels::CausalAttentionInputs in = {.q = q,
                                             .k = k,
                                             .v = v,
                                             .offsets = tokens.offsets.data(),
                                             .key_offsets = nullptr,
                                             .sequences = o_.batch};
  compute_.arena().Reset();
  const Workspace workspace = compute_.arena().AllocateWorkspace(
      kernels::CausalAttentionWorkspaceBytes(compute_.context(), in));
  double best = 1e30;
  for (int i = 0; i < 4; ++i) {
    const double start = Now();
    kernels::CausalAttentionForward(compute_.context(), in, y, TensorView(),
                                    workspace);
    best = std::min(best, Now() - start);
  }
  return best * static_cast<double>(m.layers);
}

absl::Status Bench::RunTraining(BenchResult* result) {
  const bool transfer = o_.stage == "transfer";
  ASSIGN_OR_RETURN(mode_, ComponentModeFromName(o_.mode));
  if (transfer && IsFullSoftmax(mode_)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--mode: a student in ", o_.mode, " has nothing to learn in transfer"));
  }
  if (o_.loss != "mse" && o_.loss != "xent") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--loss: there is no '", o_.loss, "'; expected mse or xent"));
  }
  adapters_->lora_active = !transfer;
  adapters_->parameters().SetTrained(
      transfer ? std::vector<ParameterGroup>{ParameterGroup::kFeatureMap,
                                             ParameterGroup::kFeatureBias,
                                             ParameterGroup::kWindowFactor}
               : std::vector<ParameterGroup>{ParameterGroup::kLora});
  sync_.emplace(&adapters_->parameters(), &gang());
  layer_done_ = [this](int layer) { sync_->LayerDone(layer); };
  optimizer_.emplace(&adapters_->parameters(), AdamWSettings(), sync_->parts());
  RETURN_IF_ERROR(gang().Agree(optimizer_->status()));
  squares_.resize(weights_.config.layers);
  Rows rows(o_.batch, o_.seq_len, weights_.config.vocab_size);
  std::vector<double> rates;
  const auto run = [&] {
    return transfer ? TransferStep(rows) : FinetuneStep(rows);
  };
  for (int step = 0; step <= o_.steps; ++step) {
    ASSIGN_OR_RETURN(const double seconds, run());
    if (step == 0) continue;  // Memory is planned in the first step.
    const int64_t tokens = o_.batch * o_.seq_len * gang().shape().data;
    rates.push_back(static_cast<double>(tokens) / seconds);
  }
  if (compute_.device() != nullptr) {
    absl::Status stepped;
    bool ran = false;
    absl::StatusOr<std::vector<KernelTime>> kernels = MeasureKernels([&] {
      ran = true;
      stepped = run().status();
      if (stepped.ok()) stepped = compute_.device()->Wait();
      return stepped;
    });
    // All ranks step, whoever of them can measure.
    if (!ran) stepped = run().status();
    RETURN_IF_ERROR(stepped);
    if (kernels.ok()) {
      result->kernels = *std::move(kernels);
    } else {
      result->no_kernels = std::string(kernels.status().message());
    }
  }
  std::sort(rates.begin(), rates.end());
  result->tokens_per_s = rates[rates.size() / 2];
  result->low = rates.front();
  result->high = rates.back();
  if (transfer && compute_.device() == nullptr) {
    const double tokens = static_cast<double>(o_.batch * o_.seq_len);
    result->tokens_per_s_without_teacher_attention =
        tokens / (tokens / result->tokens_per_s - TeacherAttentionSeconds());
  }
  result->flops = transfer ? TransferFlops(weights_.config, adapters_->config(),
                                           o_.seq_len, o_.loss == "xent")
                           : FinetuneFlops(weights_.config, adapters_->config(),
                                           o_.seq_len);
  return absl::OkStatus();
}

absl::StatusOr<Bench::DecodeSeconds> Bench::DecodeOnHost(Decoder& decoder,
                                                         Rows& rows) {
  decoder.Reset();
  double start = Now();
  DecodeSeconds out;
  ASSIGN_OR_RETURN(int32_t next, decoder.FeedGreedy(rows.tokens));
  out.prefill = Now() - start;
  start = Now();
  for (int64_t i = 0; i < o_.new_tokens; ++i) {
    ASSIGN_OR_RETURN(next, decoder.FeedGreedy({&next, 1}));
  }
  out.tokens = Now() - start;
  return out;
}

absl::StatusOr<Bench::DecodeSeconds> Bench::DecodeOnDevice(
    DecodingSession& session, Rows& rows) {
  std::vector<int32_t> next(o_.batch);
  double start = Now();
  DecodeSeconds out;
  RETURN_IF_ERROR(session.Start(rows.Batch()));
  RETURN_IF_ERROR(session.ReadLikeliest(absl::MakeSpan(next)));
  out.prefill = Now() - start;
  start = Now();
  for (int64_t i = 0; i < o_.new_tokens; ++i) RETURN_IF_ERROR(session.Step({}));
  RETURN_IF_ERROR(session.ReadLikeliest(absl::MakeSpan(next)));
  out.tokens = Now() - start;
  return out;
}

absl::Status Bench::RunDecode(BenchResult* result) {
  ASSIGN_OR_RETURN(const ComponentMode mode, ComponentModeFromName(o_.mode));
  Rows rows(o_.batch, std::max<int64_t>(o_.seq_len, 1),
            weights_.config.vocab_size);
  llama_->Plan(rows.Batch(), mode, &plan_);
  const Execution exec = execution();
  const bool on_device = exec.device != nullptr;
  std::optional<Decoder> decoder;
  std::unique_ptr<DecodingSession> session;
  if (on_device) {
    ASSIGN_OR_RETURN(session, OpsOf(exec).StartDecoding(
                                  exec, weights_, adapters_.get(), plan_));
  } else {
    decoder.emplace(llama_.get(), exec, plan_);
  }
  std::vector<double> rates, prefill;
  for (int step = 0; step <= o_.steps; ++step) {
    ASSIGN_OR_RETURN(const DecodeSeconds seconds,
                     on_device ? DecodeOnDevice(*session, rows)
                               : DecodeOnHost(*decoder, rows));
    if (step == 0) continue;
    rates.push_back(static_cast<double>(o_.batch * o_.new_tokens) /
                    seconds.tokens);
    prefill.push_back(static_cast<double>(rows.tokens.size()) /
                      seconds.prefill);
  }
  std::sort(rates.begin(), rates.end());
  std::sort(prefill.begin(), prefill.end());
  result->tokens_per_s = rates[rates.size() / 2];
  result->low = rates.front();
  result->high = rates.back();
  result->prefill_tokens_per_s = prefill[prefill.size() / 2];
  result->cache_bytes =
      on_device ? session->cache_bytes() : decoder->cache_bytes();
  result->flops = DecodeFlops(weights_.config, adapters_->config(), o_.seq_len);
  if (!on_device) return absl::OkStatus();
  result->step_bytes = session->step_bytes();
  result->bytes_per_s =
      result->step_bytes * result->tokens_per_s / static_cast<double>(o_.batch);
  session = nullptr;
  ASSIGN_OR_RETURN(result->copy_rate, DeviceCopyRate(compute_.device()));
  return absl::OkStatus();
}

absl::StatusOr<BenchResult> Bench::Run() {
  BenchResult result;
  const double start = Now();
  RETURN_IF_ERROR(Load());
  result.load_seconds = Now() - start;
  result.threads = compute_.context().pool->threads();
  if (o_.stage == "decode") {
    RETURN_IF_ERROR(RunDecode(&result));
  } else {
    RETURN_IF_ERROR(RunTraining(&result));
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  result.peak_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  result.device = "CPU";
  if (compute_.device() != nullptr) {
    result.peak_bytes = compute_.device()->peak_bytes();
    result.device = compute_.device()->name();
  }
  ASSIGN_OR_RETURN(result.matrix_rate, MatrixRate(compute_, weights_.config,
                                                  o_.batch * o_.seq_len));
  result.ranks = static_cast<int>(ranks());
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
  if (options.device != "cpu" && options.device != "cuda") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--device: there is no '", options.device, "'; use cpu or cuda"));
  }
  if (options.gang != nullptr &&
      (options.stage == "decode" || options.gang->shape().layer > 1)) {
    return absl::UnimplementedError(
        "several ranks: measured are the stages transfer and finetune, by data "
        "and tensor ranks");
  }
  if (options.device == "cpu" && options.stage == "decode" &&
      options.batch != 1) {
    return absl::UnimplementedError(
        "--batch: the CPU decodes one sequence at a time");
  }
  return Bench(options).Run();
}

}  // namespace caracal
