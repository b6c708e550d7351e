#include "jobs/client/checkpoint.h"

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"
#include "eval/report/numbers.h"
#include "jobs/client/table.h"
#include "jobs/convert/run_folder.h"
#include "jobs/convert/run_lock.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

struct CheckpointOptions {
  std::string run;
  int keep_last = 1;
  bool json = false;
};

std::shared_ptr<CheckpointOptions> DeclareOptions(CLI::App& app,
                                                  const char* run_help) {
  auto o = std::make_shared<CheckpointOptions>();
  app.add_option("run", o->run, run_help)->required();
  app.add_flag("--json", o->json, "print one JSON object");
  return o;
}

// Steps of a run's checkpoints; an error where there is no such folder.
absl::StatusOr<std::vector<uint64_t>> StepsOf(const std::string& run,
                                              FileSystem* files) {
  if (!files->IsFolder(run)) {
    return absl::NotFoundError(absl::StrCat(run, ": is no run's folder"));
  }
  return ListCheckpoints(files, run);
}

std::string LayoutWords(const ParallelLayout& layout) {
  return absl::StrCat(layout.data, " data x ", layout.tensor, " tensor x ",
                      layout.layer, " layer");
}

absl::Status List(const CheckpointOptions& o, Console& console) {
  FileSystem* const files = FileSystem::Posix();
  ASSIGN_OR_RETURN(const std::vector<uint64_t> steps, StepsOf(o.run, files));
  const absl::StatusOr<std::optional<BestCheckpoint>> marked =
      ReadBestCheckpoint(files, o.run);
  Table table({{"step", Table::Align::kRight},
               {"ranks"},
               {"files", Table::Align::kRight},
               {"size", Table::Align::kRight},
               {""}});
  Json json = {{"run", o.run}, {"checkpoints", Json::array()}};
  for (const uint64_t step : steps) {
    const bool is_best =
        marked.ok() && marked->has_value() && (*marked)->step == step;
    const absl::StatusOr<Manifest> manifest =
        ReadManifest(files, CheckpointFolder(o.run, step));
    if (!manifest.ok()) {
      table.AddRow(
          {Count(step), "", "", "", {"its manifest is damaged", Style::kBad}});
      json["checkpoints"].push_back({{"step", step}, {"damaged", true}});
      continue;
    }
    table.AddRow({Count(step), LayoutWords(manifest->layout),
                  Count(manifest->rank_files.size()), Bytes(manifest->bytes()),
                  is_best ? "best" : ""});
    json["checkpoints"].push_back({{"step", step},
                                   {"data", manifest->layout.data},
                                   {"tensor", manifest->layout.tensor},
                                   {"layer", manifest->layout.layer},
                                   {"bytes", manifest->bytes()},
                                   {"best", is_best}});
  }
  if (!marked.ok()) json["best_problem"] = marked.status().message();
  if (o.json) {
    console.out << json.dump(2) << "\n";
  } else if (steps.empty()) {
    console.out << o.run << ": no checkpoint yet\n";
  } else {
    console.out << table.ToString(console);
  }
  if (!marked.ok() && !o.json) {
    console.out << marked.status().message() << "\n";
  }
  return absl::OkStatus();
}

absl::Status Verify(const CheckpointOptions& o, Console& console) {
  FileSystem* const files = FileSystem::Posix();
  std::vector<std::string> folders;
  if (files->Exists(JoinPath(o.run, kManifestName))) {
    folders.push_back(o.run);
  } else {
    ASSIGN_OR_RETURN(const std::vector<uint64_t> steps, StepsOf(o.run, files));
    for (const uint64_t step : steps) {
      folders.push_back(CheckpointFolder(o.run, step));
    }
  }
  absl::Status first;
  int damaged = 0;
  Json json = {{"run", o.run}, {"checkpoints", Json::array()}};
  for (const std::string& folder : folders) {
    const absl::StatusOr<Manifest> manifest = VerifyCheckpoint(files, folder);
    Json entry = {{"folder", folder}, {"whole", manifest.ok()}};
    if (manifest.ok()) {
      if (!o.json) {
        console.out << folder << ": whole, " << manifest->rank_files.size()
                    << (manifest->rank_files.size() == 1 ? " file, "
                                                         : " files, ")
                    << Bytes(manifest->bytes()) << "\n";
      }
    } else {
      ++damaged;
      if (first.ok()) first = manifest.status();
      entry["problem"] = std::string(manifest.status().message());
      if (!o.json) console.out << manifest.status().message() << "\n";
    }
    json["checkpoints"].push_back(std::move(entry));
  }
  const absl::Status best = VerifyBestMarker(files, o.run);
  if (!best.ok()) {
    json["best_problem"] = best.message();
    if (!o.json) console.out << best.message() << "\n";
  }
  if (o.json) console.out << json.dump(2) << "\n";
  if (folders.empty() && !o.json)
    console.out << o.run << ": no checkpoint yet\n";
  if (damaged == 0) return best;
  return absl::DataLossError(
      absl::StrCat(damaged, " of ", folders.size(),
                   folders.size() == 1 ? " checkpoint is" : " checkpoints are",
                   " damaged: ", first.message()));
}

absl::Status Prune(const CheckpointOptions& o, Console& console) {
  FileSystem* const files = FileSystem::Posix();
  ASSIGN_OR_RETURN(const std::vector<uint64_t> before, StepsOf(o.run, files));
  if (before.empty()) {
    console.out << o.run << ": no checkpoint yet\n";
    return absl::OkStatus();
  }
  // A run that is going on prunes by itself.
  ASSIGN_OR_RETURN(const RunLock lock, RunLock::Take(RunFolder{o.run}.lock()));
  // Damaged ones that are newer are no reason to remove a whole one.
  ASSIGN_OR_RETURN(const LatestCheckpointResult latest,
                   LatestCheckpoint(files, o.run));
  if (!latest.step.has_value()) {
    return absl::DataLossError(
        absl::StrCat(o.run, ": no checkpoint is whole; nothing was removed: ",
                     absl::StrJoin(latest.warnings, "; ")));
  }
  for (const std::string& warning : latest.warnings) {
    console.err << warning << "\n";
  }
  RETURN_IF_ERROR(
      PruneCheckpoints(files, o.run, o.keep_last, {}, *latest.step));
  ASSIGN_OR_RETURN(const std::vector<uint64_t> after,
                   ListCheckpoints(files, o.run));
  const std::set<uint64_t> kept(after.begin(), after.end());
  std::vector<uint64_t> removed;
  for (const uint64_t step : before) {
    if (kept.count(step) == 0) removed.push_back(step);
  }
  if (o.json) {
    console.out
        << Json{{"run", o.run}, {"removed", removed}, {"kept", after}}.dump(2)
        << "\n";
  } else {
    console.out << o.run << ": removed " << removed.size() << ", kept "
                << after.size() << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareCheckpointList(CLI::App& app) {
  const auto o = DeclareOptions(app, "run folder");
  return [o](Console& console) { return List(*o, console); };
}

CommandBody DeclareCheckpointVerify(CLI::App& app) {
  const auto o = DeclareOptions(app, "run folder, or that of a checkpoint");
  return [o](Console& console) { return Verify(*o, console); };
}

CommandBody DeclareCheckpointPrune(CLI::App& app) {
  const auto o = DeclareOptions(app, "run folder");
  app.add_option("--keep-last", o->keep_last,
                 "how many of the newest stay; the best one does anyhow")
      ->required()
      ->check(CLI::Range(1, 1000000));
  return [o](Console& console) { return Prune(*o, console); };
}

}  // namespace caracal
