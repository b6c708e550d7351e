#include "jobs/client/data_pack.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "eval/report/numbers.h"
#include "jobs/client/interrupt.h"
#include "jobs/client/progress.h"
#include "jobs/client/table.h"
#include "jobs/data/pack.h"
#include "jobs/model/loaded_model.h"

namespace caracal {
namespace {

struct Options {
  std::string tokenizer, format = "auto", documents = "file";
  PackOptions pack;
  bool plain_special = false, json = false;
};

nlohmann::ordered_json CountsJson(const std::string& path,
                                  const PackedCounts& c) {
  nlohmann::ordered_json json;
  json["file"] = path;
  json["rows"] = c.rows;
  json["documents"] = c.documents;
  json["tokens"] = c.tokens;
  json["masked_tokens"] = c.masked_tokens;
  json["dropped_tokens"] = c.dropped_tail_tokens;
  return json;
}

void AddCounts(Table& table, const std::string& path, const PackedCounts& c) {
  table.AddRow({path, Count(c.rows), Count(c.documents), Count(c.tokens),
                Count(c.masked_tokens), Count(c.dropped_tail_tokens)});
}

void Print(const Options& o, const PackResult& r, double seconds,
           Console& console) {
  const bool held_out = !o.pack.held_out.empty();
  if (o.json) {
    nlohmann::ordered_json json;
    json["seq_len"] = o.pack.seq_len;
    json["input_bytes"] = r.input_bytes;
    json["text_bytes"] = r.text_bytes;
    json["replaced_sequences"] = r.replaced;
    json["seconds"] = seconds;
    json["train"] = CountsJson(o.pack.out, r.train);
    if (held_out) json["held_out"] = CountsJson(o.pack.held_out, r.held_out);
    console.out << json.dump(1) << "\n";
    return;
  }
  const auto right = Table::Align::kRight;
  Table table({{"file", Table::Align::kLeft, true},
               {"rows", right},
               {"documents", right},
               {"tokens", right},
               {"masked", right},
               {"dropped", right}});
  AddCounts(table, o.pack.out, r.train);
  if (held_out) AddCounts(table, o.pack.held_out, r.held_out);
  console.out << table.ToString(console);
  console.out << Bytes(r.text_bytes) << " of text in " << Duration(seconds)
              << ", rows of " << Count(o.pack.seq_len) << " targets\n";
  if (r.replaced > 0) {
    console.out << Count(r.replaced)
                << (r.replaced == 1 ? " sequence that is"
                                    : " sequences that are")
                << " not UTF-8 became U+FFFD\n";
  }
}

absl::Status Pack(const Options& o, Console& console) {
  // A run folder stands for the model it was made from.
  std::string path = o.tokenizer;
  if (IsRunFolder(path)) {
    ASSIGN_OR_RETURN(path, BaseModelOfRun(path));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(path));
  PackOptions options = o.pack;
  options.tokenizer = tokenizer.get();
  options.parse_special = !o.plain_special;
  if (o.format == "jsonl") options.format = InputFormat::kJsonLines;
  if (o.format == "text") options.format = InputFormat::kText;
  if (o.documents == "blank-lines") {
    options.text_documents = TextDocuments::kBlankLines;
  }
  const std::atomic<bool>* stop = CatchInterrupts();
  std::unique_ptr<Progress> bar;
  const double start = absl::ToDoubleSeconds(Clock::Real()->Now());
  absl::StatusOr<PackResult> result =
      PackData(options, [&](const PackProgress& p) -> absl::Status {
        if (*stop) return absl::CancelledError("stopped; nothing was written");
        // How much a pipe will give isn't known.
        if (p.input_bytes_total == 0) return absl::OkStatus();
        constexpr int64_t kKib = 1024;
        if (bar == nullptr) {
          bar = std::make_unique<Progress>(
              &console,
              std::vector<ProgressStage>{
                  {"packing (KiB)", p.input_bytes_total / kKib, 1.0}},
              Clock::Real());
        }
        ProgressUpdate update;
        update.step = p.input_bytes / kKib;
        bar->Update(update);
        return absl::OkStatus();
      });
  bar = nullptr;
  RETURN_IF_ERROR(result.status());
  Print(o, *result, absl::ToDoubleSeconds(Clock::Real()->Now()) - start,
        console);
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareDataPack(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("--tokenizer", o->tokenizer,
                 "model whose tokenizer it is: Hugging Face folder, "
                 "tokenizer.json, GGUF file or run folder")
      ->required();
  app.add_option("--input", o->pack.inputs,
                 "text (.txt .text .md .raw) or JSON lines (.jsonl .ndjson), "
                 "each plain, .gz or .zst; a name without ending (book.gz, "
                 "/dev/stdin) is JSON lines if its text begins with an object, "
                 "else text. Of bytes that are not UTF-8 a few become U+FFFD "
                 "and are counted; many are refused")
      ->required();
  app.add_option("--seq-len", o->pack.seq_len, "targets a row")->required();
  app.add_option("--out", o->pack.out, "HDF5 file of packed rows")->required();
  app.add_option("--held-out", o->pack.held_out, "second file, for validation");
  app.add_option("--held-out-fraction", o->pack.held_out_fraction,
                 "share of the text that goes there (0.1)")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--format", o->format,
                 "auto (as said of --input), text or jsonl")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}));
  app.add_option("--documents", o->documents,
                 "what a document of a text file is: file or blank-lines")
      ->check(CLI::IsMember({"file", "blank-lines"}));
  app.add_flag("--plain-special", o->plain_special,
               "special tokens written in the text are text like any other");
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) {
    if (!o->pack.held_out.empty() && o->pack.held_out_fraction == 0) {
      o->pack.held_out_fraction = 0.1;
    }
    return Pack(*o, console);
  };
}

}  // namespace caracal
