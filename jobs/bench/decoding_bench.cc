#include "jobs/bench/decoding_bench.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/model/decoder.h"
#include "core/model/llama.h"
#include "core/model/ops/model_ops.h"
#include "jobs/bench/device_copy_rate.h"
#include "jobs/bench/kernel_times.h"
#include "jobs/bench/random_rows.h"
#include "jobs/bench/speed.h"

namespace caracal {
namespace {

// Of a prompt pass, and of the tokens after it.
struct Seconds {
  double prefill = 0, tokens = 0;
};

absl::StatusOr<Seconds> DecodeOnHost(Decoder& decoder, const TokenBatch& prompt,
                                     int64_t new_tokens) {
  decoder.Reset();
  double start = SecondsNow();
  Seconds out;
  const auto* tokens = static_cast<const int32_t*>(prompt.tokens.data);
  ASSIGN_OR_RETURN(
      int32_t next,
      decoder.FeedGreedy({tokens, static_cast<size_t>(prompt.rows())}));
  out.prefill = SecondsNow() - start;
  start = SecondsNow();
  for (int64_t i = 0; i < new_tokens; ++i) {
    ASSIGN_OR_RETURN(next, decoder.FeedGreedy({&next, 1}));
  }
  out.tokens = SecondsNow() - start;
  return out;
}

absl::StatusOr<Seconds> DecodeOnDevice(DecodingSession& session,
                                       const TokenBatch& prompts,
                                       int64_t new_tokens) {
  std::vector<int32_t> next(prompts.sequences);
  double start = SecondsNow();
  Seconds out;
  RETURN_IF_ERROR(session.Start(prompts));
  RETURN_IF_ERROR(session.ReadLikeliest(absl::MakeSpan(next)));
  out.prefill = SecondsNow() - start;
  start = SecondsNow();
  for (int64_t i = 0; i < new_tokens; ++i) RETURN_IF_ERROR(session.Step({}));
  RETURN_IF_ERROR(session.ReadLikeliest(absl::MakeSpan(next)));
  out.tokens = SecondsNow() - start;
  return out;
}

// Where many heads are decoded, states are written once in so many steps: the
// mean of them is a step's.
constexpr int64_t kStepsByKernel = 8;

// The prompts are read anew: no position lies beyond those that were asked for.
absl::Status MeasureStepKernels(DecodingSession& session,
                                const TokenBatch& prompts, int64_t new_tokens,
                                Device& device, BenchResult* result) {
  RETURN_IF_ERROR(session.Start(prompts));
  RETURN_IF_ERROR(device.Wait());
  const int64_t steps = std::min(new_tokens, kStepsByKernel);
  absl::Status stepped;
  absl::StatusOr<std::vector<KernelTime>> kernels = MeasureKernels([&] {
    for (int64_t i = 0; i < steps && stepped.ok(); ++i) {
      stepped = session.Step({});
    }
    if (stepped.ok()) stepped = device.Wait();
    return stepped;
  });
  RETURN_IF_ERROR(stepped);
  if (kernels.ok()) {
    for (KernelTime& kernel : *kernels) {
      kernel.launches = (kernel.launches + steps - 1) / steps;
      kernel.seconds /= static_cast<double>(steps);
    }
  }
  SetKernels(std::move(kernels), result);
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureDecoding(const BenchOptions& o, const WeightSource& source,
                             WeightForm form, Compute& compute,
                             BenchResult* result) {
  ASSIGN_OR_RETURN(const ComponentMode mode, ComponentModeFromName(o.mode));
  StudentConfig student;
  student.attention.window = o.window;
  student.attention.sinks = o.sinks;
  student.features = o.features > 0 ? o.features : source.config().head_dim;
  double start = SecondsNow();
  ASSIGN_OR_RETURN(
      const LlamaWeights weights,
      LlamaWeights::Load(compute.context(), source, Shard(), form, {},
                         {.device = compute.device(), .lora = &student.lora}));
  Adapters adapters(weights.adapter_shape(), student);
  adapters.Initialize(0);
  if (compute.device() != nullptr) {
    RETURN_IF_ERROR(adapters.parameters().PlaceOn(compute.device()));
  }
  Llama llama(&weights, &adapters);
  result->load_seconds = SecondsNow() - start;

  const int64_t length = std::max<int64_t>(o.seq_len, 1);
  BatchBuffer prompts(o.batch, length);
  FillWithRandomRows(o.batch, weights.config.vocab_size, &prompts);
  ModePlan plan;
  llama.Plan(prompts.Rows(0, o.batch), mode, &plan);
  const Execution exec = compute.execution();
  const bool on_device = exec.device != nullptr;
  std::optional<Decoder> decoder;
  std::unique_ptr<DecodingSession> session;
  if (on_device) {
    ASSIGN_OR_RETURN(session,
                     OpsOf(exec).StartDecoding(exec, weights, &adapters, plan));
  } else {
    decoder.emplace(&llama, exec, plan);
  }
  std::vector<double> rates, prefill;
  for (int step = 0; step <= o.steps; ++step) {
    const TokenBatch rows = prompts.Rows(0, o.batch);
    ASSIGN_OR_RETURN(const Seconds seconds,
                     on_device ? DecodeOnDevice(*session, rows, o.new_tokens)
                               : DecodeOnHost(*decoder, rows, o.new_tokens));
    if (step == 0) continue;
    rates.push_back(static_cast<double>(o.batch * o.new_tokens) /
                    seconds.tokens);
    prefill.push_back(static_cast<double>(rows.rows()) / seconds.prefill);
  }
  SetSpeed(rates, result);
  result->prefill_tokens_per_s = Median(prefill);
  result->cache_bytes =
      on_device ? session->cache_bytes() : decoder->cache_bytes();
  result->flops = DecodeFlops(weights.config, adapters.config(), o.seq_len);
  if (!on_device) return absl::OkStatus();
  result->step_bytes = session->step_bytes();
  result->bytes_per_s =
      result->step_bytes * result->tokens_per_s / static_cast<double>(o.batch);
  RETURN_IF_ERROR(MeasureStepKernels(*session, prompts.Rows(0, o.batch),
                                     o.new_tokens, *compute.device(), result));
  session = nullptr;
  ASSIGN_OR_RETURN(result->copy_rate, DeviceCopyRate(compute.device()));
  return absl::OkStatus();
}

}  // namespace caracal
