#include "jobs/model/job_surroundings.h"

#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "core/io/tokenizer/load_tokenizer.h"
#include "core/io/weight_source.h"
#include "kernels/common/thread_pool.h"

namespace caracal {
namespace {

absl::StatusOr<RowsShape> ReadShape(const std::string& path,
                                    FileSystem* files) {
  PackedDatasetOptions options;
  options.max_memory_bytes = 0;  // only its sizes are wanted
  ASSIGN_OR_RETURN(const std::unique_ptr<PackedDataset> data,
                   PackedDataset::Open(path, options, files));
  return RowsShape{.rows = data->rows(),
                   .tokens = data->seq_len(),
                   .documents = data->has_document()};
}

// Whether the error is of the file that was given, and comes again.
bool IsOfFile(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

// The same as a problem of the field, where it is of the file.
absl::Status Tell(const absl::Status& status, const char* field,
                  std::vector<Problem>* problems) {
  if (status.ok()) return status;
  if (!IsOfFile(status)) return Annotate(status, field);
  problems->push_back({field, std::string(status.message()), ""});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobSurroundings> ReadSurroundings(const proto::Job& job,
                                                 const ModelConfig& model,
                                                 FileSystem* files) {
  JobSurroundings around;
  around.layers = model.layers;
  around.heads = model.heads;
  around.kv_heads = model.kv_heads;
  around.max_positions = model.max_positions;
  ASSIGN_OR_RETURN(around.train, ReadShape(job.data().path(), files));
  if (!job.data().validation().empty()) {
    ASSIGN_OR_RETURN(around.held_out,
                     ReadShape(job.data().validation(), files));
  }
  around.cores = AvailableCores();
  return around;
}

const char* FieldWithText(const proto::Job& job) {
  const auto& evaluation = job.evaluation();
  if (evaluation.rows() == 0) return nullptr;
  if (evaluation.has_probe()) return "evaluation.probe";
  return evaluation.prompt().empty() ? nullptr : "evaluation.prompt";
}

absl::StatusOr<std::optional<JobSurroundings>> ReadAround(
    const proto::Job& job, FileSystem* files, std::vector<Problem>* problems) {
  const size_t before = problems->size();
  const auto model = OpenModel(job.model().path(), files);
  RETURN_IF_ERROR(Tell(model.status(), "model.path", problems));
  if (const char* const field = FieldWithText(job); model.ok() && field) {
    const absl::Status tokenizer =
        LoadTokenizer(job.model().path(), files).status();
    RETURN_IF_ERROR(Tell(Annotate(tokenizer, "needs the model's tokenizer"),
                         field, problems));
  }
  const auto& data = job.data();
  RETURN_IF_ERROR(
      Tell(ReadShape(data.path(), files).status(), "data.path", problems));
  if (!data.validation().empty()) {
    RETURN_IF_ERROR(Tell(ReadShape(data.validation(), files).status(),
                         "data.validation", problems));
  }
  if (problems->size() > before) return std::nullopt;
  ASSIGN_OR_RETURN(JobSurroundings around,
                   ReadSurroundings(job, (*model)->config(), files));
  return around;
}

absl::Status CheckJobAround(const proto::Job& job, FileSystem* files,
                            std::vector<Problem>* problems) {
  ASSIGN_OR_RETURN(const std::optional<JobSurroundings> around,
                   ReadAround(job, files, problems));
  if (around.has_value()) CheckSurroundings(job, *around, problems);
  return absl::OkStatus();
}

}  // namespace caracal
