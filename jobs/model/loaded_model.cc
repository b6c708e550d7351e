#include "jobs/model/loaded_model.h"

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/model/student_file.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"
#include "dist/checkpoint/reader.h"
#include "jobs/model/choose_device.h"
#include "jobs/spec/expand.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/spec/job_file.h"
#include "jobs/spec/problem.h"
#include "jobs/train/checkpointing.h"
#include "jobs/train/student_config.h"

namespace caracal {
namespace {

// People point at a checkpoint and mean the model in it; only the run says
// what to do with it.
absl::Status RefuseCheckpoints(std::string path) {
  FileSystem* files = FileSystem::Posix();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const bool checkpoint = files->Exists(JoinPath(path, kManifestName));
  const std::string around =
      checkpoint ? FolderOf(FolderOf(path)) : FolderOf(path);
  const bool of_run = IsRunFolder(around);
  if (!checkpoint && !(of_run && path == CheckpointsFolder(around))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, checkpoint ? ": is a checkpoint" : ": holds checkpoints",
      "; give the folder of its run",
      of_run ? absl::StrCat(", ", around) : std::string()));
}

// The student's settings: the run's, or defaults for a bare model; then the
// student file's shape; then what the caller asks for.
absl::StatusOr<StudentConfig> StudentOf(const LoadRequest& request,
                                        const LoadedModel& model) {
  const int64_t head_dim = model.source->config().head_dim;
  StudentConfig config;
  if (model.job.has_value()) {
    ASSIGN_OR_RETURN(config,
                     StudentConfigOf(*model.job, model.source->config()));
  } else {
    config.features = head_dim;
  }
  if (!request.student_file.empty()) {
    ASSIGN_OR_RETURN(const StudentFileShape shape,
                     ReadStudentShape(request.student_file));
    config.features = shape.features;
    config.feature_bias = shape.feature_bias;
    config.tied_features = shape.tied_features;
    const float alpha = config.lora.alpha;
    if (shape.has_lora) config.lora = shape.lora;
    config.lora.alpha = alpha;
  }
  if (request.student) request.student(&config);
  return config;
}

}  // namespace

std::vector<int32_t> EndTokens(const Tokenizer& tokenizer,
                               const ModelConfig& config) {
  std::vector<int32_t> ids;
  if (tokenizer.eos_id() >= 0) ids.push_back(tokenizer.eos_id());
  for (const int64_t id : config.eos_token_ids) {
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

bool HasFinetune(const proto::Job& job) {
  for (const proto::Stage& stage : job.stages()) {
    if (stage.has_finetune() && stage.finetune().steps() > 0) return true;
  }
  return false;
}

bool IsRunFolder(const std::string& path) {
  FileSystem* files = FileSystem::Posix();
  return files->IsFolder(path) &&
         files->Exists(JoinPath(path, "job.textproto"));
}

void DescribeTraining(const proto::Job& job, AttributionSettings* settings) {
  settings->recipe =
      job.expanded_from().empty() ? "stages" : job.expanded_from();
  settings->seed = absl::StrCat(job.seed());
  settings->job_digest = JobFingerprintButForSeed(job);
  settings->finished_as = std::string(NameOf(EvaluationModeOf(job)));
}

absl::StatusOr<proto::Job> ReadRunJob(const std::string& path) {
  const std::string file = JoinPath(path, "job.textproto");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  std::vector<Problem> problems;
  const proto::Job job = ParseJob(text, file, nullptr, &problems);
  RETURN_IF_ERROR(ProblemsToStatus(problems, file));
  return ExpandJob(job);
}

absl::StatusOr<std::string> BaseModelOfRun(const std::string& path) {
  ASSIGN_OR_RETURN(const proto::Job job, ReadRunJob(path));
  return job.model().path();
}

absl::StatusOr<LoadedModel> LoadModel(Compute* compute,
                                      const LoadRequest& request) {
  LoadedModel model;
  model.base_path = request.path;
  RETURN_IF_ERROR(RefuseCheckpoints(request.path));
  if (IsRunFolder(request.path)) {
    ASSIGN_OR_RETURN(model.job, ReadRunJob(request.path));
    model.base_path = model.job->model().path();
  }
  model.name = BaseName(model.base_path);
  ASSIGN_OR_RETURN(model.source, OpenModel(model.base_path));
  ASSIGN_OR_RETURN(const StudentConfig student, StudentOf(request, model));
  // Before a single weight is read.
  RETURN_IF_ERROR(ChooseDevice(request.device, model.source->config(), compute,
                               &model.warnings));
  Device* const device = compute->device();
  const Context ctx = compute->context();
  ASSIGN_OR_RETURN(
      LlamaWeights weights,
      LlamaWeights::Load(ctx, *model.source, Shard(),
                         device == nullptr ? request.form : WeightForm::kDense,
                         {}, {.device = device, .lora = &student.lora}));
  model.weights = std::make_unique<LlamaWeights>(std::move(weights));
  model.adapters =
      std::make_unique<Adapters>(model.weights->adapter_shape(), student);
  model.adapters->Initialize(request.seed);
  if (!request.student_file.empty()) {
    RETURN_IF_ERROR(ReadStudent(request.student_file, model.adapters.get()));
    model.default_mode = ComponentMode::kHybrid;
  } else if (model.job.has_value()) {
    FileSystem* files = FileSystem::Posix();
    ASSIGN_OR_RETURN(const LatestCheckpointResult latest,
                     LatestCheckpoint(files, request.path));
    if (!latest.step.has_value()) {
      return absl::NotFoundError(absl::StrCat(
          request.path, ": has no whole checkpoint; did the run save one?"));
    }
    model.checkpoint = latest.folder;
    model.warnings.insert(model.warnings.end(), latest.warnings.begin(),
                          latest.warnings.end());
    ASSIGN_OR_RETURN(const CheckpointReader reader,
                     CheckpointReader::Open(files, latest.folder));
    RETURN_IF_ERROR(ReadCheckpointParameters(
        reader, {model.base_path, model.source->Fingerprint(ctx)},
        model.adapters.get()));
    model.adapters->lora_active = HasFinetune(*model.job);
    model.default_mode = EvaluationModeOf(*model.job);
  }
  if (device != nullptr) {
    RETURN_IF_ERROR(model.adapters->parameters().PlaceOn(device));
  }
  model.llama =
      std::make_unique<Llama>(model.weights.get(), model.adapters.get());
  return model;
}

}  // namespace caracal
