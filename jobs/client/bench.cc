#include "jobs/client/bench.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "eval/report/numbers.h"
#include "jobs/bench/bench.h"
#include "jobs/client/fact_list.h"

namespace caracal {
namespace {

struct Options {
  BenchOptions bench;
  MeshShape shape;
  bool json = false;
};

std::string BenchJson(const BenchOptions& o, const BenchResult& r) {
  nlohmann::ordered_json json;
  json["stage"] = o.stage;
  json["model"] = o.model.empty() ? "synthetic:" + o.shape : o.model;
  json["batch"] = o.batch;
  json["seq_len"] = o.seq_len;
  json["window"] = o.window;
  json["sinks"] = o.sinks;
  json["device"] = r.device;
  json["ranks"] = r.ranks;
  json["layout"] =
      FormatMesh(o.gang == nullptr ? MeshShape() : o.gang->shape());
  json["threads"] = r.threads;
  json["tokens_per_s"] = r.tokens_per_s;
  json["tokens_per_s_range"] = {r.low, r.high};
  if (r.prefill_tokens_per_s > 0) {
    json["prefill_tokens_per_s"] = r.prefill_tokens_per_s;
    json["cache_bytes"] = r.cache_bytes;
  }
  if (r.step_bytes > 0) {
    json["step_bytes"] = r.step_bytes;
    json["bytes_per_s"] = r.bytes_per_s;
    json["copy_bytes_per_s"] = r.copy_rate;
  }
  if (r.tokens_per_s_without_teacher_attention > 0) {
    json["tokens_per_s_without_teacher_attention"] =
        r.tokens_per_s_without_teacher_attention;
  }
  json["flop_per_token"] = r.flops.total();
  json["flop_per_token_terms"] = {{"projections", r.flops.projections},
                                  {"attention", r.flops.attention},
                                  {"feature_maps", r.flops.feature_maps},
                                  {"lora", r.flops.lora}};
  json["flop_formula"] = r.flops.formula;
  json["matrix_rate"] = r.matrix_rate;
  json["mfu"] = r.mfu;
  json["peak_bytes"] = r.peak_bytes;
  if (!r.not_recorded.empty()) json["not_recorded"] = r.not_recorded;
  if (r.device != "CPU" && o.stage != "decode") {
    json["waits_per_step"] = r.waits_per_step;
  }
  if (!r.kernels.empty()) {
    nlohmann::ordered_json kernels;
    for (const KernelTime& kernel : r.kernels) {
      kernels.push_back({{"name", kernel.name},
                         {"launches", kernel.launches},
                         {"seconds", kernel.seconds}});
    }
    json["kernels_of_a_step"] = std::move(kernels);
  }
  if (!r.no_kernels.empty()) json["no_kernels"] = r.no_kernels;
  if (o.stage != "decode") json["loss_of_first_step"] = r.loss;
  json["load_seconds"] = r.load_seconds;
  return json.dump(1);
}

std::string BenchText(const BenchOptions& o, const BenchResult& r,
                      const Console& console) {
  FactList list;
  list.Add("speed", absl::StrFormat("%.0f tokens/s (%.0f to %.0f)",
                                    r.tokens_per_s, r.low, r.high));
  if (r.prefill_tokens_per_s > 0) {
    list.Add("prefill", absl::StrFormat("%.0f tokens/s over %d tokens",
                                        r.prefill_tokens_per_s, o.seq_len));
    list.Add("remembered",
             absl::StrCat(Bytes(r.cache_bytes), " by ", o.batch,
                          o.batch == 1 ? " sequence" : " sequences"));
  }
  if (r.step_bytes > 0) {
    list.Add("bandwidth",
             absl::StrFormat("%.2f TB/s, %s of a copy's %.2f: %s a step",
                             r.bytes_per_s / 1e12,
                             Percent(r.bytes_per_s / r.copy_rate),
                             r.copy_rate / 1e12,
                             Bytes(static_cast<uint64_t>(r.step_bytes))));
  }
  list.Add("work",
           absl::StrFormat("%.1f MFLOP a token", r.flops.total() / 1e6));
  list.Add("", r.flops.formula);
  list.Add("matrix rate",
           r.device == "CPU" ? absl::StrFormat("%.0f GFLOP/s, %d threads",
                                               r.matrix_rate / 1e9, r.threads)
                             : absl::StrFormat("%.0f TFLOP/s, bf16 on %s",
                                               r.matrix_rate / 1e12, r.device));
  list.Add("MFU",
           absl::StrCat(Percent(r.mfu), " = speed x work / ",
                        r.ranks > 1 ? "(ranks x matrix rate)" : "matrix rate"));
  list.Add("memory", absl::StrCat(Bytes(r.peak_bytes),
                                  r.device == "CPU" ? " resident at most"
                                                    : " of the GPU's at most",
                                  r.ranks > 1 ? ", rank 0" : ""));
  if (r.waits_per_step > 0) {
    list.Add("waits",
             absl::StrFormat("%g for the GPU in a step", r.waits_per_step));
  }
  if (!r.not_recorded.empty()) {
    list.Add("launches", "kernel by kernel: " + r.not_recorded);
  }
  for (size_t i = 0; i < r.kernels.size(); ++i) {
    const KernelTime& kernel = r.kernels[i];
    list.Add(i == 0 ? "a step's time" : "",
             absl::StrFormat("%8.3f ms  %s, %d %s", kernel.seconds * 1e3,
                             kernel.name, kernel.launches,
                             kernel.launches == 1 ? "launch" : "launches"));
  }
  if (!r.no_kernels.empty()) {
    list.Add("a step's time", "not by kernel: " + r.no_kernels);
  }
  list.Add("loading", Duration(r.load_seconds));
  return list.ToString(console, 0, 13);
}

absl::Status Bench(Options o, const MakeGang& make_gang, Console& console) {
  std::unique_ptr<Gang> gang;
  if (make_gang) {
    ASSIGN_OR_RETURN(gang, make_gang(o.shape));
    o.bench.gang = gang.get();
  }
  ASSIGN_OR_RETURN(const BenchResult result, RunBench(o.bench));
  if (gang != nullptr && !gang->leads()) return absl::OkStatus();
  console.out << (o.json ? BenchJson(o.bench, result) + "\n"
                         : BenchText(o.bench, result, console));
  return absl::OkStatus();
}

CommandBody Declare(CLI::App& app, MakeGang make_gang) {
  auto o = std::make_shared<Options>();
  BenchOptions& b = o->bench;
  app.footer(
      "Prints tokens/s (median, slowest and fastest), the work of a token with "
      "its formula,\nMFU, peak memory and, on a GPU, a step's time by kernel; "
      "decoding, its share of\nthe memory's rate.");
  auto* model = app.add_option("--model", b.model, "model file or folder");
  app.add_option("--shape", b.shape, "random weights instead: 135m or 8b")
      ->excludes(model);
  app.add_option("--stage", b.stage, "transfer, finetune or decode")
      ->capture_default_str();
  auto* batch = app.add_option("--batch", b.batch,
                               "rows a step (4); decode: sequences (1)")
                    ->check(CLI::Range(1, 4096));
  app.add_option("--micro-batch", b.micro_batch, "rows at a time; 0: all")
      ->check(CLI::Range(0, 4096));
  app.add_option("--seq-len", b.seq_len,
                 "tokens a row; decode: tokens of context")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--window", b.window, "W")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--sinks", b.sinks, "S")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 16));
  app.add_option("--features", b.features, "F; 0: the head dimension")
      ->check(CLI::Range(0, 256));
  app.add_option("--new-tokens", b.new_tokens, "decode: tokens measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--mode", b.mode, "component mode of the student");
  app.add_option("--loss", b.loss, "transfer: mse or xent");
  app.add_option("--drop", b.drop, "finetune: SSD's drop probability")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--steps", b.steps, "measured, after one or two to warm up")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--device", b.device,
                 "cpu, cuda, or auto: a GPU where there is one");
  app.add_flag("--launches", b.launches,
               "GPU, training: launch every pass kernel by kernel");
  if (make_gang) {
    app.add_option("--data", o->shape.data, "data ranks; --batch is each one's")
        ->check(CLI::Range(1, 4096));
    app.add_option("--layer", o->shape.layer,
                   "ranks of a layer chain (transfer)")
        ->check(CLI::Range(1, 4096));
    app.add_option("--tensor", o->shape.tensor, "tensor ranks")
        ->check(CLI::Range(1, 4096));
  }
  app.add_option("--threads", b.threads, "CPU threads; 0: one a core")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--json", o->json, "print one JSON object");
  return [o, batch, make_gang = std::move(make_gang)](Console& console) {
    if (batch->count() == 0 && o->bench.stage == "decode") o->bench.batch = 1;
    return Bench(*o, make_gang, console);
  };
}

}  // namespace

CommandBody DeclareBench(CLI::App& app) { return Declare(app, nullptr); }

CommandBody DeclareBenchOfRanks(CLI::App& app, MakeGang make_gang) {
  return Declare(app, std::move(make_gang));
}

}  // namespace caracal
