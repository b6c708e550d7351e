#include "jobs/train/checkpointing.h"

#include <cmath>

#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/base/version.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/manifest.h"

namespace caracal {
namespace {

constexpr char kState[] = "train_state";
constexpr char kRandom[] = "random";

// "layers.3.lora.q.A" as a path under a group, as HDF5 users expect it.
std::string PathOf(absl::string_view group, absl::string_view name) {
  return absl::StrCat(group, "/", absl::StrReplaceAll(name, {{".", "/"}}));
}

// Where rows of a parameter, from `first_row` of this rank's on, lie in the
// whole model's tensor.
struct Place {
  std::vector<uint64_t> whole, offset, shape;
};
Place PlaceOf(const Parameter& p, int64_t first_row, const TensorView& values) {
  Place place;
  for (int d = 0; d < values.rank; ++d) {
    place.whole.push_back(p.slice.whole[d]);
    place.offset.push_back(p.slice.begin[d] + (d == 0 ? first_row : 0));
    place.shape.push_back(values.shape[d]);
  }
  return place;
}

void AddTensor(absl::string_view group, const Parameter& parameter,
               int64_t first_row, TensorView values,
               CheckpointContents* contents) {
  Place place = PlaceOf(parameter, first_row, values);
  CheckpointTensor tensor;
  tensor.name = PathOf(group, parameter.name);
  tensor.shape = place.shape;
  tensor.data = values.data;
  if (place.shape != place.whole) {
    tensor.shard = TensorShard{std::move(place.whole), std::move(place.offset)};
  }
  contents->tensors.push_back(std::move(tensor));
}

absl::Status ReadInto(const CheckpointReader& reader, absl::string_view group,
                      const Parameter& parameter, int64_t first_row,
                      TensorView values) {
  const Place place = PlaceOf(parameter, first_row, values);
  return reader.ReadBlock(PathOf(group, parameter.name), DType::kF32,
                          place.whole, place.offset, place.shape, values.data);
}

absl::Status CheckModel(const CheckpointReader& reader,
                        const BaseModel& model) {
  const absl::Status same = reader.CheckModel(model.fingerprint);
  if (same.ok()) return same;
  return absl::Status(same.code(),
                      absl::StrCat(same.message(), ", that of ", model.path));
}

// `field`: the job's, that names the file. `before`: fingerprint of the file
// that the run began with.
absl::Status CheckFile(const char* field, const std::string& before,
                       const RunData& now) {
  if (before == now.fingerprint) return absl::OkStatus();
  constexpr char kOr[] = ", or start a new run with another --out";
  if (now.fingerprint.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        field, ": is not set, but this run began with it (contents ", before,
        "): give it again", kOr));
  }
  if (before.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        now.path, ": this run began without ", field, ": leave it out", kOr));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      now.path, ": is not the ", field, " that this run began with (contents ",
      now.fingerprint, ", not ", before, "): put the old file back", kOr));
}

// Cursors count rows of the data, and losses of before are of the same rows.
absl::Status CheckData(const Manifest& manifest,
                       const CheckpointingOptions& options) {
  // By a program that did not say.
  if (manifest.data_fingerprint.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(
      CheckFile("data.path", manifest.data_fingerprint, options.data));
  return CheckFile("data.validation", manifest.validation_fingerprint,
                   options.validation);
}

// A checkpoint that the run stands on is not written again, for then it would
// be gone until the new one is whole: what is left between two states of one
// step are stages without steps.
bool SameState(const TrainState& a, const TrainState& b) {
  return a.global_step == b.global_step;
}

}  // namespace

Checkpointing::Checkpointing(CheckpointingOptions options)
    : options_(std::move(options)),
      writer_(
          options_.files, [this](const std::string&) { return AfterWrite(); },
          options_.gang == nullptr ? nullptr : &options_.gang->world_behind()) {
  contents_.model_fingerprint = options_.model.fingerprint;
  contents_.job_fingerprint = options_.job_fingerprint;
  contents_.data_fingerprint = options_.data.fingerprint;
  contents_.validation_fingerprint = options_.validation.fingerprint;
  contents_.created_by = kVersion;
}

absl::Status Checkpointing::AfterWrite() {
  if (writing_best_.has_value()) {
    RETURN_IF_ERROR(MarkBestCheckpoint(options_.files, options_.run_folder,
                                       {writing_step_, *writing_best_}));
    prune_waits_ = false;
  }
  return Prune(writing_step_);
}

absl::Status Checkpointing::Prune(uint64_t newest) {
  if (prune_waits_) return absl::OkStatus();
  return PruneCheckpoints(options_.files, options_.run_folder,
                          options_.keep_last, {}, newest);
}

absl::Status Checkpointing::MarkBestOf(const TrainState& state,
                                       std::vector<std::string>* warnings) {
  const absl::Status damage =
      VerifyBestMarker(options_.files, options_.run_folder);
  if (!damage.ok() && !absl::IsDataLoss(damage)) return damage;
  ASSIGN_OR_RETURN(const bool known, MarkBestIn(state, !damage.ok()));
  prune_waits_ = !damage.ok() && !known;
  if (!damage.ok()) {
    warnings->push_back(absl::StrCat(
        damage.message(),
        known ? absl::StrCat("; made again for step ", BestGlobalStep(state))
              : "; no checkpoint is removed until another one is the best"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Checkpointing::MarkBestIn(const TrainState& state,
                                               bool damaged) {
  if (!options_.keep_best || state.best_step == 0 ||
      !std::isfinite(state.best_validation)) {
    return false;
  }
  const BestCheckpoint best = {static_cast<uint64_t>(BestGlobalStep(state)),
                               state.best_validation};
  if (!damaged) {
    const absl::StatusOr<std::optional<BestCheckpoint>> marked =
        ReadBestCheckpoint(options_.files, options_.run_folder);
    if (marked.ok() && marked->has_value() && (*marked)->step == best.step) {
      return true;
    }
  }
  // Whoever goes on from before damaged checkpoints may not have it any more.
  const std::string folder = CheckpointFolder(options_.run_folder, best.step);
  if (!ReadManifest(options_.files, folder).ok()) return false;
  RETURN_IF_ERROR(
      MarkBestCheckpoint(options_.files, options_.run_folder, best));
  return true;
}

absl::Status Checkpointing::Save(const TrainState& state, const Llama& model,
                                 AdamW* optimizer, std::optional<double> best) {
  if (saved_any_ && SameState(state, last_saved_)) return absl::OkStatus();
  RETURN_IF_ERROR(writer_.Wait());
  RETURN_IF_ERROR(model.adapters().parameters().UseOnHost());
  writing_step_ = state.global_step;
  writing_best_ = best;
  contents_.step = state.global_step;
  if (options_.gang != nullptr) {
    const MeshShape& shape = options_.gang->shape();
    contents_.layout = {static_cast<uint64_t>(shape.data),
                        static_cast<uint64_t>(shape.tensor),
                        static_cast<uint64_t>(shape.layer)};
  }
  contents_.tensors.clear();
  // Data-parallel ranks have the same parameters, each its own moments; of
  // what several tensor-parallel ranks hold, one writes.
  const bool first_replica =
      options_.gang == nullptr || options_.gang->place().data == 0;
  for (const Parameter& p : model.adapters().parameters().parameters()) {
    if (first_replica && p.slice.owned) {
      AddTensor("parameters", p, 0, p.value, &contents_);
    }
  }
  if (optimizer != nullptr) {
    for (const AdamW::Moments& m : optimizer->moments()) {
      const Parameter& p = *m.of.parameter;
      if (!p.slice.owned) continue;
      AddTensor("optimizer/m", p, m.of.first_row, m.first, &contents_);
      AddTensor("optimizer/v", p, m.of.first_row, m.second, &contents_);
    }
    RETURN_IF_ERROR(optimizer->status());
  }
  contents_.strings = {{kState, TrainStateToJson(state)},
                       {kRandom, options_.random}};
  last_saved_ = state;
  saved_any_ = true;
  restored_.reset();
  return writer_.Start(CheckpointFolder(options_.run_folder, state.global_step),
                       contents_);
}

absl::Status Checkpointing::Wait() { return writer_.Wait(); }

absl::StatusOr<std::optional<TrainState>> Checkpointing::Find(
    std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(
      const LatestCheckpointResult latest,
      LatestCheckpoint(options_.files, options_.run_folder, Ranks()));
  *warnings = latest.warnings;
  if (!latest.step.has_value()) {
    // Starting over would throw away what could perhaps be repaired.
    ASSIGN_OR_RETURN(const std::vector<uint64_t> damaged,
                     ListCheckpoints(options_.files, options_.run_folder));
    if (!damaged.empty()) {
      // All ranks found the same; one tells it.
      return Agree(absl::DataLossError(absl::StrCat(
          "no checkpoint of this run is whole; remove them to start over: ",
          absl::StrJoin(latest.warnings, "; "))));
    }
    return std::optional<TrainState>();
  }
  absl::StatusOr<CheckpointReader> opened = CheckpointReader::OpenVerified(
      options_.files, latest.folder, latest.manifest);
  RETURN_IF_ERROR(Agree(opened.status()));
  CheckpointReader reader = *std::move(opened);
  if (reader.manifest().job_fingerprint != options_.job_fingerprint) {
    return Agree(absl::FailedPreconditionError(absl::StrCat(
        latest.folder, ": is a checkpoint of another job (fingerprint ",
        reader.manifest().job_fingerprint, ", this one's is ",
        options_.job_fingerprint, ")")));
  }
  absl::StatusOr<TrainState> state;
  const absl::Status read = [&]() -> absl::Status {
    RETURN_IF_ERROR(CheckModel(reader, options_.model));
    RETURN_IF_ERROR(CheckData(reader.manifest(), options_));
    ASSIGN_OR_RETURN(const std::string text, reader.String(kState));
    state = TrainStateFromJson(text);
    return state.ok() ? absl::OkStatus()
                      : Annotate(state.status(), latest.folder);
  }();
  RETURN_IF_ERROR(Agree(read));
  // What a kill left behind, in case that nothing more is saved.
  const auto tidy = [&]() -> absl::Status {
    if (options_.gang != nullptr && !options_.gang->leads()) {
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(MarkBestOf(*state, warnings));
    return Prune(*latest.step);
  };
  RETURN_IF_ERROR(Agree(tidy()));
  restored_from_ = latest.folder;
  restored_.emplace(std::move(reader));
  last_saved_ = *state;
  saved_any_ = true;
  return std::optional<TrainState>(*state);
}

absl::Status Checkpointing::RestoreParameters(Llama& model) {
  RETURN_IF_ERROR(writer_.Wait());
  if (!saved_any_) return absl::OkStatus();
  if (restored_.has_value()) {
    return Agree(ReadCheckpointParameters(*restored_, options_.model,
                                          &model.adapters()));
  }
  return ReadParametersOf(last_saved_.global_step, model);
}

absl::Status Checkpointing::RestoreBestParameters(int64_t global_step,
                                                  Llama& model) {
  RETURN_IF_ERROR(writer_.Wait());
  return ReadParametersOf(global_step, model);
}

absl::Status Checkpointing::ReadParametersOf(int64_t global_step,
                                             Llama& model) {
  const std::string folder = CheckpointFolder(options_.run_folder, global_step);
  const auto read = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const CheckpointReader reader,
                     CheckpointReader::Open(options_.files, folder, Ranks()));
    return ReadCheckpointParameters(reader, options_.model, &model.adapters());
  };
  return Agree(read());
}

absl::Status Checkpointing::RestoreMoments(AdamW& optimizer) {
  CARACAL_CHECK(restored_.has_value()) << "RestoreMoments before Find";
  const auto read = [&]() -> absl::Status {
    for (const AdamW::Moments& m : optimizer.moments()) {
      const Parameter& p = *m.of.parameter;
      RETURN_IF_ERROR(
          ReadInto(*restored_, "optimizer/m", p, m.of.first_row, m.first));
      RETURN_IF_ERROR(
          ReadInto(*restored_, "optimizer/v", p, m.of.first_row, m.second));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(Agree(read()));
  restored_.reset();
  return absl::OkStatus();
}

absl::Status ReadCheckpointParameters(const CheckpointReader& reader,
                                      const BaseModel& model,
                                      Adapters* adapters) {
  RETURN_IF_ERROR(CheckModel(reader, model));
  RETURN_IF_ERROR(adapters->parameters().UseOnHost());
  for (const Parameter& p : adapters->parameters().parameters()) {
    RETURN_IF_ERROR(ReadInto(reader, "parameters", p, 0, p.value));
  }
  return absl::OkStatus();
}

}  // namespace caracal
