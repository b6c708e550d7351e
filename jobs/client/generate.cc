#include "jobs/client/generate.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "core/io/tokenizer/streaming_decoder.h"
#include "core/model/generate.h"
#include "eval/report/text.h"
#include "jobs/client/mode_at_option.h"
#include "jobs/client/model_option.h"
#include "jobs/model/compute.h"

namespace caracal {
namespace {

struct GenerateOptions {
  ModelOption model;
  ModeAtOption mode_at;
  std::string prompt, mode;
  int64_t max_new_tokens = 64;
  bool ignore_eos = false, json = false;
};

absl::Status Generate(const GenerateOptions& o, Console& console) {
  Compute compute(o.model.threads);
  ASSIGN_OR_RETURN(const LoadedModel model,
                   o.model.Load(&compute, WeightForm::kBlocks));
  for (const std::string& warning : model.warnings) {
    console.err << "caracal: " << warning << "\n";
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(model.base_path));
  ComponentMode mode = model.default_mode;
  if (!o.mode.empty()) {
    ASSIGN_OR_RETURN(mode, ComponentModeFromName(o.mode));
  }
  if (mode == ComponentMode::kSinksOnly &&
      model.adapters->config().attention.sinks == 0) {
    return absl::InvalidArgumentError("--mode sinks_only needs --sinks >= 1");
  }
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt,
                   tokenizer->Encode(o.prompt));
  if (prompt.empty()) {
    return absl::InvalidArgumentError("--prompt: is empty");
  }
  std::vector<int32_t> stop;
  if (!o.ignore_eos) stop = EndTokens(*tokenizer, model.weights->config);
  ASSIGN_OR_RETURN(const std::vector<ModeOverride> overrides,
                   o.mode_at.Overrides(*model.llama, mode));
  TokenBatch one;
  one.sequences = 1;
  ModePlan plan;
  model.llama->Plan(one, mode, &plan);
  ApplyModeOverrides(overrides, model.adapters->config(), &plan);
  Decoder decoder(model.llama.get(), compute.execution(), plan);
  StreamingDecoder text(tokenizer.get());
  // A model may write what a terminal would obey.
  PrintablePieces shown;
  const auto show = [&](const std::string& piece) {
    console.out << (console.out_is_terminal ? shown.Add(piece) : piece)
                << std::flush;
  };
  std::string generated;
  Clock* clock = Clock::Real();
  const absl::Duration start = clock->Now();
  absl::Duration first = start;
  bool started = false;
  ASSIGN_OR_RETURN(
      const Continuation continuation,
      GenerateGreedy(decoder, prompt, o.max_new_tokens, stop, [&](int32_t id) {
        if (!started) first = clock->Now();
        started = true;
        const std::string piece = text.Push(id);
        generated += piece;
        if (!o.json) show(piece);
      }));
  const std::string rest = text.Finish();
  generated += rest;
  const absl::Duration end = clock->Now();
  const bool cut = continuation.reason == FinishReason::kContext;
  if (!o.json) {
    show(rest);
    console.out << shown.Finish() << "\n";
    if (cut) {
      console.err << "caracal: the model's context of " << decoder.max_length()
                  << " tokens is full\n";
    }
    return absl::OkStatus();
  }
  const std::vector<int32_t>& tokens = continuation.tokens;
  const double prefill = absl::ToDoubleSeconds(first - start);
  const double decode = absl::ToDoubleSeconds(end - first);
  nlohmann::ordered_json json;
  json["mode"] = std::string(NameOf(mode));
  if (!overrides.empty()) json["mode_at"] = o.mode_at.texts;
  json["device"] =
      compute.device() == nullptr ? "CPU" : compute.device()->name();
  json["prompt"] = o.prompt;
  json["prompt_tokens"] = prompt;
  json["text"] = generated;
  json["tokens"] = tokens;
  json["finish_reason"] = NameOf(continuation.reason);
  json["prefill_tokens_per_s"] = static_cast<double>(prompt.size()) / prefill;
  if (tokens.size() > 1) {
    json["decode_tokens_per_s"] =
        static_cast<double>(tokens.size() - 1) / decode;
  }
  json["cache_bytes"] = decoder.cache_bytes();
  console.out << json.dump(1, ' ', false,
                           nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareGenerate(CLI::App& app) {
  auto o = std::make_shared<GenerateOptions>();
  o->model.Declare(app);
  app.add_option("--prompt", o->prompt, "the text to continue")->required();
  app.add_option("--max-new-tokens", o->max_new_tokens, "at most so many (64)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--mode", o->mode,
                 "component mode; by default hybrid after a conversion, "
                 "teacher for a bare model");
  o->mode_at.Declare(app);
  app.add_flag("--ignore-eos", o->ignore_eos, "go on after an end token");
  app.add_flag("--json", o->json, "print one JSON object, with speeds");
  return [o](Console& console) { return Generate(*o, console); };
}

}  // namespace caracal
