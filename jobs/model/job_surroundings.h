// Reads what a job meets from its files' headers.
#ifndef CARACAL_JOBS_MODEL_JOB_SURROUNDINGS_H_
#define CARACAL_JOBS_MODEL_JOB_SURROUNDINGS_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/io/model_config.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/surroundings.h"
#include "proto/job.pb.h"

namespace caracal {

// Opens the job's data and asks the machine for its cores. Errors name the
// file: those of PackedDataset::Open.
absl::StatusOr<JobSurroundings> ReadSurroundings(
    const proto::Job& job, const ModelConfig& model,
    FileSystem* files = FileSystem::Posix());

// The field for which the job's report reads and writes text, so that its model
// has to have a tokenizer; null: none.
const char* FieldWithText(const proto::Job& job);

// Opens the job's model, with its tokenizer where that is needed, and data. Of
// files that are not what they are given for
// each is told in `problems`, by its field: then there is none. Other errors
// (too many open files, ...) are returned; they name the field and the file.
absl::StatusOr<std::optional<JobSurroundings>> ReadAround(
    const proto::Job& job, FileSystem* files, std::vector<Problem>* problems);

// Appends what is wrong with a valid, expanded job beside its model and data:
// CheckSurroundings, where ReadAround can open the files. Errors of that.
absl::Status CheckJobAround(const proto::Job& job, FileSystem* files,
                            std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_JOB_SURROUNDINGS_H_
