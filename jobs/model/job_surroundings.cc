#include "jobs/model/job_surroundings.h"

#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
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

absl::Status CheckJobAround(const proto::Job& job, FileSystem* files,
                            std::vector<Problem>* problems) {
  ASSIGN_OR_RETURN(const auto model, OpenModel(job.model().path(), files));
  ASSIGN_OR_RETURN(const JobSurroundings around,
                   ReadSurroundings(job, model->config(), files));
  CheckSurroundings(job, around, problems);
  return absl::OkStatus();
}

}  // namespace caracal
