#include "jobs/client/report.h"

#include <memory>
#include <string>
#include <vector>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "eval/attribution/result_json.h"
#include "eval/report/comparison.h"
#include "jobs/convert/run_folder.h"
#include "jobs/model/loaded_model.h"

namespace caracal {
namespace {

struct ReportOptions {
  std::vector<std::string> runs;
  std::string html;
  bool json = false;
};

// A run folder, or a file that `caracal attribute --json` wrote.
absl::StatusOr<ComparedRun> ReadRun(FileSystem& files,
                                    const std::string& path) {
  const std::string in_folder = RunFolder{path}.attribution();
  const std::string file = files.Exists(in_folder) ? in_folder : path;
  if (file == path && !files.Exists(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such run"));
  }
  absl::StatusOr<std::string> text = files.ReadFile(file);
  if (!text.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        ": has no attribution.json; a run gets one when it ends with "
        "evaluation.rows above 0"));
  }
  ComparedRun run;
  run.name = path;
  while (run.name.size() > 1 && run.name.back() == '/') run.name.pop_back();
  ASSIGN_OR_RETURN(run.result, AttributionFromJson(*text, file));
  // Runs of earlier versions don't say which seed they had, or what mode they
  // finished as; their job does. A job that cannot be read any more only leaves
  // the run by itself.
  const AttributionSettings& settings = run.result.settings;
  const bool older =
      settings.job_digest.empty() || settings.finished_as.empty();
  if (older && file == in_folder) {
    if (const auto job = ReadRunJob(path); job.ok()) {
      DescribeTraining(*job, &run.result.settings);
    }
  }
  return run;
}

absl::Status Report(const ReportOptions& o, Console& console) {
  FileSystem& files = *FileSystem::Posix();
  std::vector<ComparedRun> runs;
  for (const std::string& path : o.runs) {
    ASSIGN_OR_RETURN(ComparedRun run, ReadRun(files, path));
    runs.push_back(std::move(run));
  }
  ASSIGN_OR_RETURN(const Comparison comparison, CompareRuns(runs));
  if (!o.html.empty()) {
    RETURN_IF_ERROR(
        files.WriteFileAtomically(o.html, ComparisonHtml(comparison)));
  }
  console.out << (o.json ? ComparisonToJson(comparison)
                         : ComparisonText(comparison, static_cast<size_t>(
                                                          console.columns())));
  return absl::OkStatus();
}

}  // namespace

CommandBody DeclareReport(CLI::App& app) {
  auto o = std::make_shared<ReportOptions>();
  app.add_option("runs", o->runs,
                 "run folders, or files of `caracal attribute --json`, all "
                 "measured on the same rows")
      ->required();
  app.add_option("--html", o->html, "also write the comparison as a page");
  app.add_flag("--json", o->json, "print one JSON object");
  return [o](Console& console) { return Report(*o, console); };
}

}  // namespace caracal
