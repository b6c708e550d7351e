// A model as the client's commands name it: a Hugging Face folder, a GGUF
// file, or a run folder of ours.
#ifndef CARACAL_JOBS_MODEL_LOADED_MODEL_H_
#define CARACAL_JOBS_MODEL_LOADED_MODEL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "core/io/tokenizer/tokenizer.h"
#include "core/io/weight_source.h"
#include "core/model/adapters.h"
#include "core/model/llama.h"
#include "core/model/llama_weights.h"
#include "eval/attribution/result.h"
#include "jobs/model/compute.h"
#include "proto/job.pb.h"

namespace caracal {

struct LoadRequest {
  std::string path;
  // On the CPU; on a GPU they are dense.
  WeightForm form = WeightForm::kDense;
  std::string device = "cpu";  // as ChooseDevice() has it
  // The student's attention and LoRA; a run folder has its own, and this then
  // changes only the fields it sets. features 0: the head dimension.
  std::function<void(StudentConfig*)> student;
  // A student's tensors (safetensors, see student_file.h) instead of initial
  // ones, or instead of the run folder's checkpoint. Empty: none.
  std::string student_file;
  uint64_t seed = 0;  // of initial adapters
};

// Weights, adapters and the model over them.
struct LoadedModel {
  std::string name;       // for people: the file's or folder's name
  std::string base_path;  // where the base weights are
  std::unique_ptr<WeightSource> source;
  std::unique_ptr<LlamaWeights> weights;
  std::unique_ptr<Adapters> adapters;
  std::unique_ptr<Llama> llama;
  // Of a run folder: its expanded job, and the checkpoint that was read.
  std::optional<proto::Job> job;
  std::string checkpoint;
  // Newer checkpoints that were passed over, or a GPU, and why: for the user to
  // see.
  std::vector<std::string> warnings;
  // What the model runs as when nobody says otherwise: hybrid after a
  // conversion, teacher for a bare model.
  ComponentMode default_mode = ComponentMode::kTeacher;
};

// For passes of `compute`, which outlives it and has taken the model's device.
// Errors name the file, tensor or field, or are ChooseDevice's. A checkpoint's
// own folder is refused with the run to give instead.
absl::StatusOr<LoadedModel> LoadModel(Compute* compute,
                                      const LoadRequest& request);

// Tokens after which a text is over: the tokenizer's and the model's own.
std::vector<int32_t> EndTokens(const Tokenizer& tokenizer,
                               const ModelConfig& config);

// Whether the job's stages train LoRA adapters.
bool HasFinetune(const proto::Job& job);

// What trained a job's student, and as what: recipe, seed, job_digest and
// finished_as.
void DescribeTraining(const proto::Job& job, AttributionSettings* settings);

// The expanded job of a run folder; what it names need not be there any more.
absl::StatusOr<proto::Job> ReadRunJob(const std::string& path);

// The base model's path of a run folder.
absl::StatusOr<std::string> BaseModelOfRun(const std::string& path);

// Whether `path` is a folder that `caracal run` wrote.
bool IsRunFolder(const std::string& path);

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_LOADED_MODEL_H_
