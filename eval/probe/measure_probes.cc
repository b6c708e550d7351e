// The teacher, then everybody else.
#include "eval/probe/measure_probes.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "eval/measure/measure.h"
#include "eval/measure/pass.h"
#include "eval/probe/probe_runner.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "xxhash.h"

namespace caracal {
namespace {

constexpr ComponentMode kDefaultModes[] = {
    ComponentMode::kTeacherSwa, ComponentMode::kHybrid, ComponentMode::kSwaOnly,
    ComponentMode::kLaOnly};

std::vector<ProbeKind> KindsOf(const ProbeOptions& options) {
  const std::set<ProbeKind> kinds(options.kinds.begin(), options.kinds.end());
  if (kinds.empty()) return {std::begin(kAllProbes), std::end(kAllProbes)};
  return {kinds.begin(), kinds.end()};
}

// Defaults that the context has no room for are left out, but for one.
std::vector<int64_t> LengthsOf(const ProbeOptions& options,
                               int64_t max_positions) {
  const std::set<int64_t> asked(options.lengths.begin(), options.lengths.end());
  std::vector<int64_t> lengths(asked.begin(), asked.end());
  if (!lengths.empty()) return lengths;
  for (const int64_t length : kDefaultProbeLengths) {
    if (length <= max_positions) lengths.push_back(length);
  }
  if (lengths.empty()) lengths.push_back(max_positions);
  return lengths;
}

// What is asked beside the teacher.
std::vector<Pass> PassesOf(const ProbeOptions& options, int64_t sinks) {
  std::vector<ComponentMode> modes = options.modes;
  if (modes.empty()) {
    modes.assign(std::begin(kDefaultModes), std::end(kDefaultModes));
  }
  std::vector<Pass> passes;
  std::set<ComponentMode> seen = {ComponentMode::kTeacher};
  for (const ComponentMode mode : modes) {
    if (mode == ComponentMode::kSinksOnly && sinks == 0) continue;
    if (!seen.insert(mode).second) continue;
    passes.push_back(
        {.name = std::string(NameOf(mode)), .mode = mode, .sinks = sinks});
  }
  if (!options.mode_at.empty()) {
    passes.push_back({.name = ModeAtName(options.mode_at),
                      .sinks = sinks,
                      .overrides = options.mode_at});
  }
  if (seen.count(ComponentMode::kTeacherSwa) == 0) return passes;
  for (const int64_t other : std::set<int64_t>(options.baseline_sinks.begin(),
                                               options.baseline_sinks.end())) {
    // With the student's own sinks it is teacher_swa itself.
    if (other == sinks) continue;
    passes.push_back({.name = absl::StrCat("teacher_swa_s", other),
                      .mode = ComponentMode::kTeacherSwa,
                      .sinks = other});
  }
  return passes;
}

// No token of the fact is in A_n of the row that begins the answer.
bool FactOutside(const kernels::HybridAttentionConfig& config,
                 const ProbeSample& sample, const ProbeAnswer& answer) {
  const auto fed = static_cast<int64_t>(sample.tokens.size()) - 1;
  return answer.fact_begin >= config.sinks &&
         answer.fact_end <= kernels::WindowStart(config.window_kind,
                                                 config.window,
                                                 answer.begin - 1, fed);
}

ProbeResult Describe(ProbeKind kind, int64_t length,
                     const std::vector<ProbeSample>& samples,
                     const kernels::HybridAttentionConfig& config) {
  ProbeResult result;
  result.probe = std::string(NameOf(kind));
  result.length = length;
  result.samples = static_cast<int64_t>(samples.size());
  uint64_t digest = 0;  // chained through the seed
  for (const ProbeSample& sample : samples) {
    digest = XXH3_64bits_withSeed(
        sample.tokens.data(), sample.tokens.size() * sizeof(int32_t), digest);
    for (const ProbeAnswer& answer : sample.answers) {
      result.depth.push_back(sample.Depth(answer));
      result.outside.push_back(FactOutside(config, sample, answer));
      result.chance += answer.Chance();
    }
  }
  result.chance /= static_cast<double>(result.depth.size());
  result.digest = absl::StrFormat("%016x", digest);
  return result;
}

}  // namespace

absl::Status CheckProbes(const ProbeOptions& options,
                         const Tokenizer& tokenizer, int64_t max_positions) {
  for (const int64_t length : LengthsOf(options, max_positions)) {
    if (length > max_positions) {
      return absl::InvalidArgumentError(
          absl::StrCat("a probe of ", length, " tokens: the model's context ",
                       "has ", max_positions));
    }
    for (const ProbeKind kind : KindsOf(options)) {
      RETURN_IF_ERROR(MakeProbeSamples(kind, tokenizer, length, options.samples,
                                       options.seed)
                          .status());
    }
  }
  return absl::OkStatus();
}

int ProbePasses(const ProbeOptions& options, const Llama& model) {
  const int64_t sinks = model.adapters().config().attention.sinks;
  return static_cast<int>(
      (1 + PassesOf(options, sinks).size()) * KindsOf(options).size() *
      LengthsOf(options, model.weights().rope_cos.dim(0)).size());
}

absl::StatusOr<std::vector<ProbeResult>> MeasureProbes(
    const Llama& model, Execution exec, const Tokenizer& tokenizer,
    const ProbeOptions& options) {
  const int64_t positions = model.weights().rope_cos.dim(0);
  RETURN_IF_ERROR(CheckProbes(options, tokenizer, positions));
  const kernels::HybridAttentionConfig config =
      model.adapters().config().attention;
  const std::vector<Pass> passes = PassesOf(options, config.sinks);
  const std::vector<ProbeKind> kinds = KindsOf(options);
  const std::vector<int64_t> lengths = LengthsOf(options, positions);
  const int each = 1 + static_cast<int>(passes.size());
  const int total = ProbePasses(options, model);
  int begun = 0;  // passes of the probes so far
  std::vector<ProbeResult> results;
  for (const ProbeKind kind : kinds) {
    for (const int64_t length : lengths) {
      ASSIGN_OR_RETURN(const std::vector<ProbeSample> samples,
                       MakeProbeSamples(kind, tokenizer, length,
                                        options.samples, options.seed));
      ProbeResult result = Describe(kind, length, samples, config);
      ProbeRunner runner(model, exec, samples, options.micro_batch,
                         options.stop);
      const auto run = [&](const Pass& pass) -> absl::Status {
        ASSIGN_OR_RETURN(ProbeMode mode, runner.Run(pass));
        result.modes.push_back(std::move(mode));
        return absl::OkStatus();
      };
      const auto report = [&](const std::string& mode, int done) {
        if (!options.progress) return;
        options.progress(absl::StrCat(NameOf(kind), " ", length, " ", mode),
                         begun + done, total);
      };
      RETURN_IF_ERROR(run({.name = std::string(NameOf(ComponentMode::kTeacher)),
                           .mode = ComponentMode::kTeacher,
                           .sinks = config.sinks}));
      const bool asked = TeacherCan(result);
      report("teacher", asked ? 1 : each);
      for (size_t i = 0; asked && i < passes.size(); ++i) {
        RETURN_IF_ERROR(run(passes[i]));
        report(passes[i].name, static_cast<int>(i) + 2);
      }
      begun += each;
      results.push_back(std::move(result));
    }
  }
  return results;
}

}  // namespace caracal
