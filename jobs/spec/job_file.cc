#include "jobs/spec/job_file.h"

#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/expand.h"
#include "jobs/spec/field_rules.h"
#include "jobs/spec/json_reader.h"
#include "jobs/spec/override.h"
#include "jobs/spec/text_reader.h"
#include "jobs/spec/validate.h"

namespace caracal {
namespace {

bool IsJson(absl::string_view text, absl::string_view file) {
  if (absl::EndsWithIgnoreCase(file, ".json")) return true;
  text = absl::StripLeadingAsciiWhitespace(text);
  return !text.empty() && text[0] == '{';
}

std::string AbsolutePath(const std::string& folder, const std::string& path) {
  std::error_code error;
  const std::filesystem::path joined = JoinPath(folder, path);
  const std::filesystem::path absolute =
      std::filesystem::absolute(joined, error);
  return (error ? joined : absolute).lexically_normal().string();
}

// Relative paths of the file count from its folder, if it has one; those of
// --set from where the command was typed.
void MakePathsAbsolute(const std::string& job_folder,
                       const FieldLocations& locations, proto::Job* job,
                       std::vector<Problem>* problems) {
  const auto resolve = [&](const char* field, std::string* path) {
    const std::string where = LocationOf(locations, field);
    const bool overridden = absl::StartsWith(where, "--set ");
    if (job_folder.empty() && !overridden && !absl::StartsWith(*path, "/")) {
      problems->push_back({field,
                           absl::StrCat("is ", *path,
                                        ", which is relative: expected an "
                                        "absolute path of the machine that "
                                        "runs the job"),
                           where});
      // It names no file.
      path->clear();
      return;
    }
    *path = AbsolutePath(overridden ? "" : job_folder, *path);
  };
  if (!job->model().path().empty()) {
    resolve("model.path", job->mutable_model()->mutable_path());
  }
  if (!job->data().path().empty()) {
    resolve("data.path", job->mutable_data()->mutable_path());
  }
  if (!job->data().validation().empty()) {
    resolve("data.validation", job->mutable_data()->mutable_validation());
  }
}

// "lolcats" of "jobs/lolcats.textproto".
std::string Stem(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

// Whether the text could not be read as a whole.
bool IsUnread(const std::vector<Problem>& problems) {
  return std::any_of(problems.begin(), problems.end(),
                     [](const Problem& p) { return p.field.empty(); });
}

// Whether what a job meets can't be held against it: it says nothing, or
// something impossible, where it would have to fit.
bool HidesSurroundings(const std::vector<Problem>& problems) {
  constexpr absl::string_view kFields[] = {
      "preset",   "stages", "model",      "data",       "attention",
      "parallel", "budget", "evaluation", "curriculum",
  };
  return std::any_of(
      std::begin(kFields), std::end(kFields),
      [&](absl::string_view field) { return IsAboutSame(problems, field); });
}

// In the words of the file. What several stages took from one shorthand is said
// once.
void LocateProblems(const FieldLocations& locations,
                    std::vector<Problem>* problems) {
  std::vector<Problem> located;
  std::set<std::string> said;
  for (Problem& problem : *problems) {
    problem.field = FieldAsWritten(locations, problem.field);
    problem.where = LocationOf(locations, problem.field);
    if (said.insert(problem.ToString()).second) located.push_back(problem);
  }
  *problems = std::move(located);
}

}  // namespace

proto::Job ParseJob(absl::string_view text, absl::string_view file,
                    FieldLocations* locations, std::vector<Problem>* problems) {
  FieldLocations unwanted;
  if (locations == nullptr) locations = &unwanted;
  proto::Job job;
  // The byte order mark that some editors write.
  absl::ConsumePrefix(&text, "\xEF\xBB\xBF");
  ParsedText read = IsJson(text, file) ? ReadJson(text) : ReadTextFormat(text);
  for (SyntaxFault& fault : read.faults) {
    problems->push_back({"", std::move(fault.message),
                         LocationIn(file, fault.line, fault.column)});
  }
  BindValue(read.root, "", file, &job, locations, problems);
  return job;
}

absl::StatusOr<std::string> ReadJobFile(const std::string& path,
                                        FileSystem* files) {
  if (files->IsFolder(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected a job file"));
  }
  const auto check = [&](uint64_t bytes) {
    return bytes <= kMaxJobBytes
               ? absl::OkStatus()
               : absl::InvalidArgumentError(absl::StrCat(
                     path, ": has ", bytes, " bytes; a job file has at most ",
                     kMaxJobBytes));
  };
  if (files->Exists(path)) {
    ASSIGN_OR_RETURN(const uint64_t bytes, files->FileSize(path));
    RETURN_IF_ERROR(check(bytes));
  }
  ASSIGN_OR_RETURN(std::string text, files->ReadFile(path));
  // Pipes tell no size before they are read.
  RETURN_IF_ERROR(check(text.size()));
  return text;
}

absl::StatusOr<proto::Job> LoadJob(const std::string& path,
                                   const std::vector<std::string>& overrides,
                                   FileSystem* files, const JobCheck& check) {
  ASSIGN_OR_RETURN(const std::string text, ReadJobFile(path, files));
  std::vector<Problem> problems;
  ASSIGN_OR_RETURN(proto::Job job,
                   LoadJobText(text, path, FolderOf(path), overrides, files,
                               check, &problems));
  RETURN_IF_ERROR(ProblemsToStatus(problems, path));
  return job;
}

absl::StatusOr<proto::Job> LoadJobText(
    absl::string_view text, const std::string& file, const std::string& folder,
    const std::vector<std::string>& overrides, FileSystem* files,
    const JobCheck& check, std::vector<Problem>* problems,
    FieldLocations* locations) {
  FieldLocations unwanted;
  if (locations == nullptr) locations = &unwanted;
  proto::Job job = ParseJob(text, file, locations, problems);
  if (IsUnread(*problems)) {
    // What is not in a text that was read in part may be in the rest of it:
    // only what each value says by itself can be told.
    std::vector<Problem> found;
    CheckFieldRules(job, "", &found);
    LocateProblems(*locations, &found);
    AddProblems(std::move(found), problems);
    return proto::Job();
  }
  ApplyOverrides(overrides, &job, locations, problems);
  if (!job.has_name()) job.set_name(AsFolderName(Stem(file)));
  MakePathsAbsolute(folder, *locations, &job, problems);
  const bool whole = problems->empty();
  job = ExpandJob(job);
  std::vector<Problem> found;
  ValidateJob(job, &found);
  if (files != nullptr) CheckJobFiles(job, files, &found);
  if (check && whole && !HidesSurroundings(found)) {
    const size_t before = found.size();
    const absl::Status checked = check(job, &found);
    if (before == 0) RETURN_IF_ERROR(checked);
    if (!checked.ok()) {
      found.push_back({"", std::string(checked.message()), ""});
    }
  }
  LocateProblems(*locations, &found);
  AddProblems(std::move(found), problems);
  return job;
}

std::string JobText(const proto::Job& job) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  printer.SetUseShortRepeatedPrimitives(true);
  std::string text;
  CARACAL_CHECK(printer.PrintToString(job, &text)) << "printing a job";
  return absl::StrCat("# An expanded job (caracal.proto.Job).\n", text);
}

absl::Status WriteJobText(const proto::Job& job, const std::string& path,
                          FileSystem* files) {
  return files->WriteFileAtomically(path, JobText(job));
}

}  // namespace caracal
