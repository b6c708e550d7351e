#include "jobs/bench/training_bench.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/model/batch_buffer.h"
#include "core/tensor/tensor.h"
#include "jobs/bench/random_rows.h"
#include "jobs/bench/speed.h"
#include "jobs/convert/student.h"
#include "jobs/spec/expand.h"
#include "jobs/train/make_stage_runner.h"
#include "kernels/causal_attention/causal_attention.h"

namespace caracal {
namespace {

int64_t MicroBatchOf(const BenchOptions& o) {
  return o.micro_batch > 0 ? o.micro_batch : o.batch;
}

absl::Status CheckOptions(const BenchOptions& o, const ModelConfig& model,
                          const MeshShape& shape) {
  ASSIGN_OR_RETURN(const ComponentMode mode, ComponentModeFromName(o.mode));
  const bool transfer = o.stage == "transfer";
  if (transfer && IsFullSoftmax(mode)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--mode: a student in ", o.mode, " has nothing to learn in transfer"));
  }
  if (o.loss != "mse" && o.loss != "xent") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--loss: there is no '", o.loss, "'; expected mse or xent"));
  }
  if (shape.layer == 1) return absl::OkStatus();
  if (!transfer) {
    return absl::InvalidArgumentError(
        "--layer: a fine-tune has no layer chain, only transfer does");
  }
  if (shape.layer > model.layers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--layer: ", shape.layer, " ranks for ", model.layers, " layers"));
  }
  if (o.batch % MicroBatchOf(o) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--micro-batch: in a layer chain it must divide --batch, ", o.batch));
  }
  return absl::OkStatus();
}

// The `lolcats` preset with the options.
proto::Job JobOf(const BenchOptions& o, const MeshShape& shape) {
  proto::Job job;
  job.set_preset("lolcats");
  job.mutable_attention()->set_window(static_cast<int>(o.window));
  job.mutable_attention()->set_sinks(static_cast<int>(o.sinks));
  job.mutable_attention()->set_features(static_cast<int>(o.features));
  proto::Budget& budget = *job.mutable_budget();
  budget.set_transfer_steps(o.steps);
  budget.set_finetune_steps(o.steps);
  budget.set_batch(static_cast<int>(o.batch * shape.data));
  budget.set_micro_batch(static_cast<int>(MicroBatchOf(o)));
  if (o.drop > 0)
    job.mutable_curriculum()->mutable_drop()->set_constant(o.drop);
  job = ExpandJob(job);
  proto::ComponentMode mode;
  CARACAL_CHECK(
      proto::ComponentMode_Parse(absl::AsciiStrToUpper(o.mode), &mode));
  proto::TransferStage& transfer = *job.mutable_stages(0)->mutable_transfer();
  transfer.set_student_mode(mode);
  if (o.loss == "xent") {
    transfer.mutable_loss()->Clear();
    transfer.mutable_loss()->set_xent(1);
  }
  job.mutable_stages(1)->mutable_finetune()->set_student_mode(mode);
  return job;
}

// Seconds of the teacher's attention in a transfer step, all layers.
double TeacherAttentionSeconds(const BenchOptions& o, const ModelConfig& m,
                               Compute& compute) {
  const int64_t rows = o.batch * o.seq_len, d = m.head_dim;
  std::vector<int64_t> offsets;
  for (int64_t r = 0; r <= o.batch; ++r) offsets.push_back(r * o.seq_len);
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
                                             .offsets = offsets.data(),
                                             .key_offsets = nullptr,
                                             .sequences = o.batch};
  compute.arena().Reset();
  const Workspace workspace = compute.arena().AllocateWorkspace(
      kernels::CausalAttentionWorkspaceBytes(compute.context(), in));
  double best = 1e30;
  for (int i = 0; i < 4; ++i) {
    const double start = SecondsNow();
    kernels::CausalAttentionForward(compute.context(), in, y, TensorView(),
                                    workspace);
    best = std::min(best, SecondsNow() - start);
  }
  return best * static_cast<double>(m.layers);
}

// This rank's part of the model.
absl::StatusOr<std::unique_ptr<Student>> LoadStudent(const proto::Job& job,
                                                     const BenchOptions& o,
                                                     const WeightSource& source,
                                                     const Execution& exec,
                                                     Gang& gang) {
  std::optional<IndexRange> layers;
  if (gang.shape().layer > 1) {
    std::vector<double> costs;
    ASSIGN_OR_RETURN(const std::vector<IndexRange> split,
                     BalanceLayers(job, source, gang, exec, o.seq_len, &costs));
    layers = split[gang.place().layer];
  }
  absl::StatusOr<std::unique_ptr<Student>> student = Student::Load(
      job, source, gang, exec, layers.has_value() ? &*layers : nullptr);
  RETURN_IF_ERROR(gang.Agree(student.status()));
  return student;
}

}  // namespace

absl::Status MeasureTraining(const BenchOptions& o, const WeightSource& source,
                             Compute& compute, Gang& gang,
                             BenchResult* result) {
  const ModelConfig& model = source.config();
  RETURN_IF_ERROR(CheckOptions(o, model, gang.shape()));
  const bool transfer = o.stage == "transfer";
  const bool on_device = compute.device() != nullptr;
  const proto::Job job = JobOf(o, gang.shape());
  Execution exec = compute.execution();
  exec.collective = &gang.tensor();
  const double start = SecondsNow();
  ASSIGN_OR_RETURN(const std::unique_ptr<Student> student,
                   LoadStudent(job, o, source, exec, gang));
  result->load_seconds = SecondsNow() - start;

  BatchBuffer batch(o.batch, o.seq_len);
  FillWithRandomRows(o.batch, model.vocab_size, &batch);
  // One to plan memory in; on a GPU one in which passes are recorded, and one
  // by kernel after the others.
  const int64_t warm_up = on_device ? 2 : 1;
  const int64_t all_steps = warm_up + o.steps + (on_device ? 1 : 0);
  const int64_t micro_batch = MicroBatchOf(o);
  RandomMicroBatches chain_rows(all_steps, o.batch / micro_batch, micro_batch,
                                o.seq_len, model.vocab_size);
  const std::unique_ptr<StageRunner> runner = MakeStageRunner(
      job.stages(transfer ? 0 : 1), job, student->llama.get(), exec, &gang,
      micro_batch, gang.shape().layer > 1 ? &chain_rows : nullptr);
  if (o.launches) runner->LaunchEveryPass();
  int64_t steps = 0;
  const auto run = [&]() -> absl::StatusOr<double> {
    const double begin = SecondsNow();
    ASSIGN_OR_RETURN(const StepResult step,
                     runner->Step(batch, {.learning_rate = 1e-4,
                                          .global_step = steps,
                                          .drop_probability = o.drop}));
    if (steps++ == 0) result->loss = step.loss;
    return SecondsNow() - begin;
  };
  std::vector<double> rates;
  const auto waits = [&]() -> int64_t {
    return on_device ? compute.device()->waits() : 0;
  };
  int64_t waits_before = 0;
  for (int64_t step = 0; step < warm_up + o.steps; ++step) {
    if (step == warm_up) waits_before = waits();
    ASSIGN_OR_RETURN(const double seconds, run());
    if (step < warm_up) continue;
    const int64_t tokens = o.batch * o.seq_len * gang.shape().data;
    rates.push_back(static_cast<double>(tokens) / seconds);
  }
  result->waits_per_step =
      static_cast<double>(waits() - waits_before) / o.steps;
  result->not_recorded = std::string(runner->recording().message());
  if (on_device) {
    runner->LaunchEveryPass();  // CUPTI is to see each kernel.
    absl::Status stepped;
    bool ran = false;
    absl::StatusOr<std::vector<KernelTime>> kernels = MeasureKernels([&] {
      ran = true;
      stepped = run().status();
      if (stepped.ok()) stepped = compute.device()->Wait();
      return stepped;
    });
    // All ranks step, whoever of them can measure.
    if (!ran) stepped = run().status();
    RETURN_IF_ERROR(stepped);
    SetKernels(std::move(kernels), result);
  }
  RETURN_IF_ERROR(runner->Finish());

  SetSpeed(rates, result);
  if (transfer && !on_device && gang.alone()) {
    const double tokens = static_cast<double>(o.batch * o.seq_len);
    result->tokens_per_s_without_teacher_attention =
        tokens / (tokens / result->tokens_per_s -
                  TeacherAttentionSeconds(o, model, compute));
  }
  const StudentConfig& config = student->adapters->config();
  result->flops =
      transfer ? TransferFlops(model, config, o.seq_len, o.loss == "xent")
               : FinetuneFlops(model, config, o.seq_len);
  return absl::OkStatus();
}

}  // namespace caracal
