// What the files of a job say about its size, and what follows from that.
#ifndef CARACAL_JOBS_CLIENT_JOB_FACTS_H_
#define CARACAL_JOBS_CLIENT_JOB_FACTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "core/io/model_config.h"
#include "proto/job.pb.h"

namespace caracal {

struct StageFacts {
  int64_t steps = 0;
  int64_t tokens = 0;  // targets of all its steps
  double passes = 0;   // over the rows of the data
  int64_t trained_parameters = 0;
};

struct JobFacts {
  ModelConfig model;
  int64_t model_parameters = 0;
  int64_t rows = 0;             // of the training data
  int64_t row_tokens = 0;       // targets of a row that are trained on
  int64_t validation_rows = 0;  // 0 without validation data
  int64_t step_tokens = 0;
  std::vector<StageFacts> stages;
  int64_t tokens = 0;  // of all stages
  // Bytes of the frozen weights in fp32, and the most that trained parameters
  // take in any stage with gradients and both Adam moments, fp32. Activations
  // come on top.
  uint64_t weight_bytes = 0;
  uint64_t training_bytes = 0;
  std::vector<std::string> warnings;  // JobWarnings on this machine
};

// Parameters that a stage trains. `features` of the job, or head_dim.
int64_t TrainedParameters(const proto::Job& job, const proto::Stage& stage,
                          const ModelConfig& model);

// Reads the headers of the job's files. The job is one that JobOption gave.
// Errors name the file and what is wrong with it.
absl::StatusOr<JobFacts> GatherJobFacts(
    const proto::Job& job, FileSystem* files = FileSystem::Posix());

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_JOB_FACTS_H_
