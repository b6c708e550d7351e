// Asks a model the text probes in every component mode, the same prompts in
// each: what of the past outside the window does its linear part hold?
#ifndef CARACAL_EVAL_PROBE_MEASURE_PROBES_H_
#define CARACAL_EVAL_PROBE_MEASURE_PROBES_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/tokenizer/tokenizer.h"
#include "core/model/llama.h"
#include "core/model/mode_overrides.h"
#include "eval/attribution/probe_result.h"
#include "eval/probe/probe.h"

namespace caracal {

// Tokens of a prompt where none are asked for; those that fit the context.
inline constexpr int64_t kDefaultProbeLengths[] = {256, 512, 1024};
inline constexpr int64_t kDefaultProbeSamples = 16;

struct ProbeOptions {
  std::vector<ProbeKind> kinds;  // empty: all
  std::vector<int64_t> lengths;  // empty: the defaults; each once, rising
  int64_t samples = kDefaultProbeSamples;
  // The teacher is always asked. Empty: teacher_swa, hybrid, swa_only, la_only.
  std::vector<ComponentMode> modes;
  // As MeasureOptions has it.
  std::vector<ModeOverride> mode_at;
  // teacher_swa also with these numbers of sinks, where it is asked at all.
  std::vector<int64_t> baseline_sinks = {0, 4};
  int64_t micro_batch = 4;  // samples at a time
  uint64_t seed = 0;        // of the prompts
  // After each finished pass: its name, passes done, passes in all.
  std::function<void(const std::string&, int, int)> progress;
  // Looked at before every batch; null: never stops.
  const std::atomic<bool>* stop = nullptr;
};

// That prompts of the options' lengths can be made and fit the model's context;
// kInvalidArgument naming the length. For callers that ask much later.
absl::Status CheckProbes(const ProbeOptions& options,
                         const Tokenizer& tokenizer, int64_t max_positions);

// How many passes `progress` will be told of.
int ProbePasses(const ProbeOptions& options, const Llama& model);

// One result a probe and length, probes in the order of their kinds. The
// teacher goes first; where it cannot do a task (TeacherCan) nobody else is
// asked. Passes that give the same answers are run once. Leaves the model's
// attention settings as they were; the arena of `exec` is used and reset.
// Errors: as CheckProbes, and kCancelled when stopped.
absl::StatusOr<std::vector<ProbeResult>> MeasureProbes(
    const Llama& model, Execution exec, const Tokenizer& tokenizer,
    const ProbeOptions& options);

}  // namespace caracal

#endif  // CARACAL_EVAL_PROBE_MEASURE_PROBES_H_
