#include "jobs/train/checkpointing.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "dist/checkpoint/catalogue.h"

namespace caracal {
namespace {

constexpr char kState[] = "train_state";
constexpr char kRandom[] = "random";

// "layers.3.lora.q.A" as a path under a group, as HDF5 users expect it.
std::string PathOf(absl::string_view group, absl::string_view name) {
  return absl::StrCat(group, "/", absl::StrReplaceAll(name, {{".", "/"}}));
}

std::vector<uint64_t> ShapeOf(const TensorView& view) {
  return {view.shape, view.shape + view.rank};
}

void AddTensor(absl::string_view group, const Parameter& parameter,
               TensorView values, CheckpointContents* contents) {
  CheckpointTensor tensor;
  tensor.name = PathOf(group, parameter.name);
  tensor.shape = ShapeOf(values);
  tensor.data = values.data;
  contents->tensors.push_back(std::move(tensor));
}

absl::Status ReadInto(const CheckpointReader& reader, absl::string_view group,
                      const Parameter& parameter, TensorView values) {
  return reader.ReadTensor(PathOf(group, parameter.name), DType::kF32,
                           ShapeOf(values), values.data);
}

bool SameState(const TrainState& a, const TrainState& b) {
  return a.global_step == b.global_step && a.stage_index == b.stage_index;
}

}  // namespace

Checkpointing::Checkpointing(CheckpointingOptions options)
    : options_(std::move(options)),
      writer_(options_.files,
              [this](const std::string&) { return AfterWrite(); }) {
  contents_.model_fingerprint = options_.model.fingerprint;
  contents_.job_fingerprint = options_.job_fingerprint;
  contents_.created_by = kVersion;
}

absl::Status Checkpointing::AfterWrite() {
  if (writing_best_.has_value()) {
    RETURN_IF_ERROR(MarkBestCheckpoint(options_.files, options_.run_folder,
                                       {writing_step_, *writing_best_}));
  }
  return PruneCheckpoints(options_.files, options_.run_folder,
                          options_.keep_last);
}

absl::Status Checkpointing::Save(const TrainState& state, const Llama& model,
                                 const AdamW* optimizer,
                                 std::optional<double> best) {
  if (saved_any_ && SameState(state, last_saved_)) return absl::OkStatus();
  RETURN_IF_ERROR(writer_.Wait());
  writing_step_ = state.global_step;
  writing_best_ = best;
  contents_.step = state.global_step;
  contents_.tensors.clear();
  for (const Parameter& p : model.adapters().parameters().parameters()) {
    AddTensor("parameters", p, p.value, &contents_);
  }
  if (optimizer != nullptr) {
    for (const AdamW::Moments& m : optimizer->moments()) {
      AddTensor("optimizer/m", *m.of.parameter, m.first, &contents_);
      AddTensor("optimizer/v", *m.of.parameter, m.second, &contents_);
    }
  }
  contents_.strings = {{kState, TrainStateToJson(state)},
                       {kRandom, options_.random}};
  last_saved_ = state;
  saved_any_ = true;
  return writer_.Start(CheckpointFolder(options_.run_folder, state.global_step),
                       contents_);
}

absl::Status Checkpointing::Wait() { return writer_.Wait(); }

absl::StatusOr<std::optional<TrainState>> Checkpointing::Restore(
    Llama& model, std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(const LatestCheckpointResult latest,
                   LatestCheckpoint(options_.files, options_.run_folder));
  *warnings = latest.warnings;
  if (!latest.step.has_value()) {
    // Starting over would throw away what could perhaps be repaired.
    ASSIGN_OR_RETURN(const std::vector<uint64_t> damaged,
                     ListCheckpoints(options_.files, options_.run_folder));
    if (!damaged.empty()) {
      return absl::DataLossError(absl::StrCat(
          "no checkpoint of this run is whole; remove them to start over: ",
          absl::StrJoin(latest.warnings, "; ")));
    }
    return std::optional<TrainState>();
  }
  ASSIGN_OR_RETURN(CheckpointReader reader,
                   CheckpointReader::Open(options_.files, latest.folder));
  if (reader.manifest().job_fingerprint != options_.job_fingerprint) {
    return absl::FailedPreconditionError(absl::StrCat(
        latest.folder, ": is a checkpoint of another job (fingerprint ",
        reader.manifest().job_fingerprint, ", this one's is ",
        options_.job_fingerprint, ")"));
  }
  RETURN_IF_ERROR(
      ReadCheckpointParameters(reader, options_.model, &model.adapters()));
  ASSIGN_OR_RETURN(const std::string text, reader.String(kState));
  absl::StatusOr<TrainState> state = TrainStateFromJson(text);
  if (!state.ok()) return Annotate(state.status(), latest.folder);
  restored_from_ = latest.folder;
  restored_.emplace(std::move(reader));
  last_saved_ = *state;
  saved_any_ = true;
  return std::optional<TrainState>(*state);
}

absl::Status Checkpointing::RestoreBestParameters(int64_t global_step,
                                                  Llama& model) {
  RETURN_IF_ERROR(writer_.Wait());
  const std::string folder = CheckpointFolder(options_.run_folder, global_step);
  ASSIGN_OR_RETURN(const CheckpointReader reader,
                   CheckpointReader::Open(options_.files, folder));
  return ReadCheckpointParameters(reader, options_.model, &model.adapters());
}

absl::Status Checkpointing::RestoreMoments(AdamW& optimizer) {
  CARACAL_CHECK(restored_.has_value()) << "RestoreMoments before Restore";
  for (const AdamW::Moments& m : optimizer.moments()) {
    RETURN_IF_ERROR(
        ReadInto(*restored_, "optimizer/m", *m.of.parameter, m.first));
    RETURN_IF_ERROR(
        ReadInto(*restored_, "optimizer/v", *m.of.parameter, m.second));
  }
  restored_.reset();
  return absl::OkStatus();
}

absl::Status ReadCheckpointParameters(const CheckpointReader& reader,
                                      const BaseModel& model,
                                      Adapters* adapters) {
  if (const absl::Status same = reader.CheckModel(model.fingerprint);
      !same.ok()) {
    return absl::Status(same.code(),
                        absl::StrCat(same.message(), ", that of ", model.path));
  }
  for (const Parameter& p : adapters->parameters().parameters()) {
    RETURN_IF_ERROR(ReadInto(reader, "parameters", p, p.value));
  }
  return absl::OkStatus();
}

}  // namespace caracal
