// A job to be planned: checked by itself, without the data, weights and
// machine that running it needs.
#ifndef CARACAL_JOBS_CLIENT_PAPER_JOB_H_
#define CARACAL_JOBS_CLIENT_PAPER_JOB_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/io/model_config.h"
#include "proto/job.pb.h"

namespace caracal {

struct PaperJob {
  proto::Job job;  // expanded; its `parallel` and `device` are cleared
  std::optional<proto::Parallel> parallel;  // what the job gave
  ModelConfig model;
  int64_t seq_len = 0;     // tokens of a row
  int64_t micro_rows = 0;  // budget.micro_batch where the job gives it
};

// Of the model a config.json will do, or a GGUF file; of the data nothing where
// data.seq_len is given, else the file's header. Errors name file and field.
absl::StatusOr<PaperJob> LoadPaperJob(const std::string& path,
                                      const std::vector<std::string>& overrides,
                                      FileSystem* files = FileSystem::Posix());

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_PAPER_JOB_H_
