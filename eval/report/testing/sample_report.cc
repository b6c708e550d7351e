// Figures from a seeded generator; means are made exact.
#include "eval/report/testing/sample_report.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "eval/attribution/result_intervals.h"
#include "eval/attribution/shapley.h"

namespace caracal {
namespace {

// A uniform number in [0, 1), the same with every standard library.
double Uniform(std::mt19937_64& generator) {
  return static_cast<double>(generator() >> 11) * 0x1p-53;
}

// Roughly normal, with variance 1.
double Normal(std::mt19937_64& generator) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += Uniform(generator);
  return sum;
}

// `rows` values of mean 0 and, roughly, standard deviation 1.
std::vector<double> Spread(int rows, std::mt19937_64& generator) {
  std::vector<double> values(static_cast<size_t>(rows));
  double sum = 0;
  for (double& value : values) sum += value = Normal(generator);
  for (double& value : values) value -= sum / rows;
  return values;
}

AttentionMasses SampleMasses(std::mt19937_64& generator) {
  AttentionMasses masses;
  for (int layer = 0; layer < 30; ++layer) {
    std::vector<double> la, share, teacher;
    for (int head = 0; head < 9; ++head) {
      const double depth = layer / 29.0;
      const double wide = 0.08 +
                          0.34 * std::sin(3.1 * depth) * Uniform(generator) +
                          0.25 * std::pow(Uniform(generator), 6);
      const double used = std::clamp(
          wide * (0.35 + 0.6 * Uniform(generator)) + 0.02 * Normal(generator),
          0.002, 0.95);
      teacher.push_back(wide);
      la.push_back(used);
      share.push_back(0.7 * used);
    }
    masses.sink_mass.push_back(la);
    for (double& mass : masses.sink_mass.back()) mass *= 0.4;
    masses.teacher_sink_mass.push_back(teacher);
    for (double& mass : masses.teacher_sink_mass.back()) mass *= 0.7;
    masses.la_mass.push_back(la);
    masses.la_output_share.push_back(share);
    masses.teacher_out_mass.push_back(teacher);
  }
  return masses;
}

std::vector<StepMetrics> SampleMetrics(std::mt19937_64& generator) {
  std::vector<StepMetrics> metrics;
  for (int step = 1; step <= 32; ++step) {
    const double loss = 0.0021 + 0.061 * std::exp(-step / 5.0);
    metrics.push_back({"transfer", step,
                       loss * std::exp(0.06 * Normal(generator)),
                       612 + 9 * Normal(generator)});
  }
  for (int step = 1; step <= 16; ++step) {
    const double loss = 3.93 + 0.31 * std::exp(-step / 4.0);
    metrics.push_back({"finetune", step, loss + 0.09 * Normal(generator),
                       431 + 7 * Normal(generator)});
    if (step % 4 == 0) metrics.back().validation_loss = loss - 0.02;
  }
  return metrics;
}

// A probe of 16 prompts of which `outside` state their facts outside; `right`
// are the shares that each mode gets of those.
ProbeResult SampleProbe(
    const char* name, int64_t length, int64_t queries, int64_t outside,
    double chance, const std::vector<std::pair<const char*, double>>& right,
    std::mt19937_64& generator) {
  ProbeResult probe;
  probe.probe = name;
  probe.length = length;
  probe.samples = 16;
  probe.digest = "0123456789abcdef";
  probe.chance = chance;
  const int64_t answers = probe.samples * queries;
  for (int64_t i = 0; i < answers; ++i) {
    const double n = static_cast<double>(i) + 0.5;
    probe.depth.push_back(n / static_cast<double>(answers));
    probe.outside.push_back(i < outside);
  }
  for (const auto& [mode, share] : right) {
    ProbeMode result;
    result.mode = mode;
    for (int64_t i = 0; i < answers; ++i) {
      const bool whole = result.mode != "la_only" && i >= outside;
      const bool hit = whole || Uniform(generator) < share;
      result.among.push_back(hit);
      result.exact.push_back(hit && (whole || Uniform(generator) < 0.9));
      result.nats.push_back(hit ? 0.05 * Uniform(generator) : 2.3);
    }
    probe.modes.push_back(result);
  }
  return probe;
}

std::vector<ProbeResult> SampleProbes(std::mt19937_64& generator) {
  const std::vector<std::pair<const char*, double>> some = {
      {"teacher", 1},  {"teacher_swa", 0}, {"hybrid", 0.7},
      {"swa_only", 0}, {"la_only", 0.1},   {"teacher_swa_s4", 0}};
  const std::vector<std::pair<const char*, double>> none = {
      {"teacher", 0.9},   {"teacher_swa", 0.15}, {"hybrid", 0.2},
      {"swa_only", 0.15}, {"la_only", 0.1},      {"teacher_swa_s4", 0.15}};
  return {
      SampleProbe("passkey", 256, 1, 11, 1e-5, some, generator),
      SampleProbe("passkey", 512, 1, 13, 1e-5, some, generator),
      SampleProbe("passkey", 1024, 1, 15, 1e-5, {{"teacher", 0.3}}, generator),
      SampleProbe("recall", 256, 4, 64, 0.125, none, generator),
      SampleProbe("recall", 512, 4, 64, 0.125, none, generator)};
}

constexpr char kJob[] =
    "# Debian's reference, converted on two cores\n"
    "name: \"smollm2-demo\"\n"
    "preset: LOLCATS\n"
    "model { path: \"SmolLM2-135M-Instruct.Q4_1.gguf\" }\n"
    "data { path: \"train.h5\" validation: \"heldout.h5\" }\n"
    "attention { window: 64 sinks: 0 feature_map: \"hedgehog\" features: 64 }\n"
    "budget { transfer_steps: 32 finetune_steps: 16 batch: 4 }\n";

}  // namespace

AttributionResult SampleAttribution(const SampleLosses& losses) {
  std::mt19937_64 generator(11);
  AttributionResult result;
  result.settings = {"SmolLM2-135M-Instruct",
                     "heldout.h5",
                     64,
                     0,
                     "sliding",
                     "hedgehog",
                     64,
                     losses.rows,
                     512,
                     30,
                     9,
                     "",
                     "0123456789abcdef"};
  const std::vector<double> rows = Spread(losses.rows, generator);
  const auto mode = [&](const char* name, double loss) {
    ModeResult m{name, loss, {}, loss + 0.06 * (loss - losses.teacher), {}, {}};
    const std::vector<double> noise = Spread(losses.rows, generator);
    const double wide =
        losses.noise * (1 + 4 * std::abs(loss - losses.teacher));
    for (size_t i = 0; i < rows.size(); ++i) {
      m.per_row.push_back(loss + 0.35 * rows[i] +
                          (loss == losses.teacher ? 0 : wide * noise[i]));
    }
    return m;
  };
  result.modes = {mode("teacher", losses.teacher),
                  mode("teacher_swa", losses.teacher_swa_s0),
                  mode("hybrid", losses.hybrid),
                  mode("swa_only", losses.swa_only),
                  mode("la_only", losses.la_only),
                  mode("la_past", losses.la_past),
                  mode("none", losses.none)};
  result.baselines = {mode("teacher_swa_s0", losses.teacher_swa_s0),
                      mode("teacher_swa_s4", losses.teacher_swa_s4)};
  result.masses = SampleMasses(generator);
  for (int begin = 64; begin < 512; begin += 64) {
    const double far = (begin - 32) / 480.0;
    result.by_position.push_back({begin, begin + 64, 0.20 * std::sqrt(far),
                                  0.14 * std::sqrt(far),
                                  0.26 * std::sqrt(far)});
  }
  result.reach = 0.875;
  FillIntervals(result);
  result.drop.push_back(
      {"swa", LossDifference(result.Find("la_past"), result.Find("hybrid"))});
  // Four subsets, as there are no sinks; the window without the linear part is
  // swa_only.
  const ModeResult* none = result.Find("none");
  const ModeResult* la = result.Find("la_past");
  const ModeResult* swa = result.Find("swa_only");
  const ModeResult* all = result.Find("hybrid");
  result.shapley = ShapleyValues({none, swa, la, all, none, swa, la, all},
                                 /*has_sinks=*/false);
  return result;
}

ReportInput SampleReport(const SampleLosses& losses) {
  std::mt19937_64 generator(12);
  ReportInput input{SampleAttribution(losses), SampleMetrics(generator), {}};
  RunInfo& run = input.run;
  run.model_path = "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  run.job_path = "demo.textproto";
  run.job_text = kJob;
  run.date = "2026-01-15 10:32 UTC";
  run.prompt = "The package manager of a Debian system";
  run.teacher_continuation =
      " is a program that installs, upgrades and removes software. It keeps "
      "a database of every file that belongs to a package, and it resolves "
      "the dependencies between packages.";
  run.student_continuation =
      " is a program that installs, upgrades and removes packages. It reads "
      "the list of packages from the archive & checks that <dependencies> "
      "are met before anything is changed.";
  run.files = {{"run folder", "runs/smollm2-demo"},
               {"checkpoint", "runs/smollm2-demo/checkpoints/000048"},
               {"metrics", "runs/smollm2-demo/metrics.jsonl"},
               {"attribution", "runs/smollm2-demo/attribution.json"}};
  run.timings = {{"loading the model", 1.21},
                 {"attention transfer", 107.4},
                 {"fine-tuning", 76.0},
                 {"attribution", 83.9}};
  run.peak_bytes = 2026892288;
  return input;
}

ReportInput SampleSteeredReport() {
  ReportInput input = SampleReport();
  std::mt19937_64 generator(13);
  AttributionResult& result = input.attribution;
  for (int layer = 0; layer < 30; ++layer) {
    result.gamma.emplace_back();
    for (int head = 0; head < 9; ++head) {
      const double odds = -2.2 + 0.05 * layer + 0.5 * Normal(generator);
      result.gamma.back().push_back(1 / (1 + std::exp(-odds)));
      result.ablation.push_back(
          {layer, head, {0.0004 * Normal(generator), -0.001, 0.001}});
    }
    const double cost =
        0.002 * std::exp(-layer / 9.0) + 0.0003 * Normal(generator);
    result.ablation.push_back(
        {layer, -1, {cost, cost - 0.0006, cost + 0.0006}});
  }
  result.probes = SampleProbes(generator);
  double p = 0.5;
  for (StepMetrics& m : input.metrics) {
    if (m.stage != "finetune") continue;
    const double done = static_cast<double>(m.step) / 16;
    m.drop_probability = p;
    m.dropped_share = std::clamp(p + 0.04 * Normal(generator), 0.0, 1.0);
    m.window = 16 + 48 * std::floor(4 * done) / 4;
    if (m.step % 4 != 0) continue;
    m.u_star = 0.118 + 0.002 * Normal(generator);
    m.u = 0.1 * done + 0.004 * Normal(generator);
    m.r = m.u / m.u_star;
    p = m.next_drop_probability = std::clamp(p + 0.25 * (0.9 - m.r), 0.0, 0.95);
    m.hybrid_loss = m.validation_loss;
    m.swa_only_loss = m.hybrid_loss + m.u;
    m.la_only_loss = 6.9 - 1.2 * done;
    m.early_stop_score = m.hybrid_loss + (m.step == 16 ? 0.05 : 0.01);
  }
  for (const double gamma :
       {0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.99}) {
    const double away = std::log(gamma / (1 - gamma)) + 1.1;
    input.gamma_sweep.push_back({gamma, 3.92 + 0.02 * away * away});
  }
  input.chosen_gamma = 0.2;
  return input;
}

ReportInput SampleProbeReport() {
  const AttributionResult whole = SampleSteeredReport().attribution;
  ReportInput input;
  AttributionSettings& settings = input.attribution.settings;
  settings = whole.settings;
  settings.rows = settings.tokens_per_row = 0;
  settings.data.clear();
  input.attribution.probes = whole.probes;
  return input;
}

}  // namespace caracal
