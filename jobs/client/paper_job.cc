#include "jobs/client/paper_job.h"

#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/io/bounded_file.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/hf_config.h"
#include "core/io/weight_source.h"
#include "jobs/spec/expand.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/override.h"
#include "jobs/spec/validate.h"

namespace caracal {
namespace {

// As a job that is run: from the job's folder, of --set from here.
std::string Resolved(const std::string& job_path, const std::string& field,
                     const std::string& path, const FieldLocations& locations) {
  const auto found = locations.find(field);
  if (path.empty() ||
      (found != locations.end() && absl::StartsWith(found->second, "--set "))) {
    return path;
  }
  return (std::filesystem::path(job_path).parent_path() / path)
      .lexically_normal()
      .string();
}

absl::StatusOr<ModelConfig> ReadModel(const std::string& path,
                                      FileSystem* files) {
  if (!files->IsFolder(path)) {
    ASSIGN_OR_RETURN(const auto source, OpenModel(path, files));
    return source->config();
  }
  const std::string file = JoinPath(path, "config.json");
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(file, kMaxConfigurationBytes, files));
  absl::StatusOr<ModelConfig> config = ParseHfConfig(text);
  RETURN_IF_ERROR(Annotate(config.status(), file));
  return config;
}

absl::StatusOr<int64_t> SeqLenOf(const proto::Job& job, const std::string& path,
                                 FileSystem* files) {
  if (job.data().seq_len() > 0) return job.data().seq_len();
  if (!files->Exists(path)) {
    return absl::NotFoundError(
        absl::StrCat(path,
                     " does not exist; to plan without it, set "
                     "data.seq_len to the tokens of a row"));
  }
  PackedDatasetOptions options;
  options.max_memory_bytes = 0;  // only its sizes are wanted
  ASSIGN_OR_RETURN(const auto data, PackedDataset::Open(path, options, files));
  return data->seq_len();
}

}  // namespace

absl::StatusOr<PaperJob> LoadPaperJob(const std::string& path,
                                      const std::vector<std::string>& overrides,
                                      FileSystem* files) {
  if (files->IsFolder(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a folder, expected a job file"));
  }
  ASSIGN_OR_RETURN(const std::string text,
                   ReadBoundedFile(path, kMaxConfigurationBytes, files));
  FieldLocations locations;
  std::vector<Problem> problems;
  proto::Job job = ParseJob(text, path, &locations, &problems);
  ApplyOverrides(overrides, &job, &locations, &problems);
  RETURN_IF_ERROR(ProblemsToStatus(problems, path));
  PaperJob out;
  out.micro_rows = job.budget().micro_batch();
  if (job.has_parallel()) out.parallel = job.parallel();
  // What is planned, not given.
  job.clear_parallel();
  job.clear_device();
  if (!job.has_name()) {
    job.set_name(std::filesystem::path(path).stem().string());
  }
  out.job = ExpandJob(job);
  ValidateJob(out.job, &problems);
  for (Problem& problem : problems) {
    problem.field = FieldAsWritten(locations, problem.field);
    problem.where = LocationOf(locations, problem.field);
  }
  RETURN_IF_ERROR(ProblemsToStatus(problems, path));
  const auto resolved = [&](const char* field, const std::string& file) {
    return Resolved(path, field, file, locations);
  };
  // What cannot be read is told with the field that names it.
  const auto told = [&](const char* field, const absl::Status& status) {
    if (status.ok()) return status;
    const Problem problem{field, std::string(status.message()),
                          LocationOf(locations, field)};
    return absl::Status(status.code(), problem.ToString());
  };
  auto model = ReadModel(resolved("model.path", out.job.model().path()), files);
  RETURN_IF_ERROR(told("model.path", model.status()));
  out.model = *std::move(model);
  const auto seq_len =
      SeqLenOf(out.job, resolved("data.path", out.job.data().path()), files);
  RETURN_IF_ERROR(told("data.path", seq_len.status()));
  out.seq_len = *seq_len;
  return out;
}

}  // namespace caracal
