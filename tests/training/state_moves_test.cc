// What is read back of a checkpoint on another layout is what was saved, bit
// for bit: parameters and moments go from layout to layout, are saved again by
// each, and are compared.
#include <gtest/gtest.h>

#include <string>

#include "core/base/status.h"
#include "core/base/status_matchers.h"
#include "core/io/weight_source.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/reader.h"
#include "dist/mesh/thread_mesh.h"
#include "jobs/convert/student.h"
#include "jobs/model/compute.h"
#include "jobs/spec/fingerprint.h"
#include "jobs/train/checkpointing.h"
#include "jobs/train/make_stage_runner.h"
#include "tests/training/gang_runs.h"

namespace caracal {
namespace {

constexpr char kSsd[] = "preset: 'ssd'";

// A chain asks for some; no step is taken.
class NoRows : public MicroBatches {
 public:
  int64_t count() const override { return 0; }
  int64_t rows() const override { return 1; }
  int64_t seq_len() const override { return 1; }
  bool reset_at_document() const override { return false; }
  int64_t per_step() const override { return 1; }
  absl::Status Fill(int64_t, BatchBuffer*) override {
    return absl::InternalError("a step");
  }
};

class StateMovesTest : public GangRuns {
 protected:
  // Reads the newest checkpoint of `from` as ranks of this shape hold it, and
  // saves that in `to`.
  absl::Status Move(const MeshShape& shape, const std::string& from,
                    const std::string& to) {
    absl::Status first;
    RunAsMesh(shape, [&](MeshGroups& groups) {
      Gang gang(std::move(groups));
      const absl::Status status = MoveRank(gang, from, to);
      if (gang.leads()) first = status;
    });
    return first;
  }

 private:
  absl::Status MoveRank(Gang& gang, const std::string& from,
                        const std::string& to) {
    const proto::Job job = Job(kSsd, gang.shape());
    Compute compute(1);
    Execution exec = compute.execution();
    exec.collective = &gang.tensor();
    ASSIGN_OR_RETURN(const auto source, OpenModel(model_, FileSystem::Posix()));
    const IndexRange layers = Shard{gang.place().layer, gang.shape().layer}.Of(
        source->config().layers);
    ASSIGN_OR_RETURN(const auto student,
                     Student::Load(job, *source, gang, exec,
                                   gang.shape().layer > 1 ? &layers : nullptr));
    CheckpointingOptions options;
    options.run_folder = from;
    options.model = {model_, source->Fingerprint(exec.ctx)};
    options.job_fingerprint = JobFingerprint(job);
    options.random = "{}";
    options.gang = &gang;
    ASSIGN_OR_RETURN(const auto newest,
                     LatestCheckpoint(options.files, from, nullptr));
    options.data.fingerprint = newest.manifest.data_fingerprint;
    options.validation.fingerprint = newest.manifest.validation_fingerprint;
    Checkpointing reading(options);
    std::vector<std::string> warnings;
    ASSIGN_OR_RETURN(const auto state, reading.Find(&warnings));
    if (!state.has_value()) return absl::NotFoundError(from);
    RETURN_IF_ERROR(reading.RestoreParameters(*student->llama));
    NoRows rows;
    const auto runner = MakeStageRunner(
        job.stages(state->stage_index), job, student->llama.get(), exec, &gang,
        /*micro_batch=*/1, gang.shape().layer > 1 ? &rows : nullptr);
    RETURN_IF_ERROR(reading.RestoreMoments(runner->optimizer()));
    options.run_folder = to;
    Checkpointing writing(options);
    RETURN_IF_ERROR(writing.Save(*state, *student->llama, &runner->optimizer(),
                                 std::nullopt));
    return writing.Wait();
  }
};

TEST_F(StateMovesTest, FromLayoutToLayoutBitForBit) {
  ASSERT_OK(Run(kSsd, {.data = 2, .tensor = 2}, folder_.File("run")));
  // In the middle of fine-tuning, and of transfer.
  for (const uint64_t step : {5, 2}) {
    std::string from = folder_.File(absl::StrCat("from_", step));
    CopyUntil(step, folder_.File("run"), from);
    const RunState saved = Read(from, step);
    std::vector<MeshShape> shapes = {{},
                                     {.data = 4},
                                     {.data = 1, .tensor = 3},
                                     {.data = 3},
                                     {.data = 1, .tensor = 4},
                                     {.data = 2, .tensor = 2}};
    if (step == 2) {
      shapes.push_back({.layer = 2});
      shapes.push_back({.data = 2, .layer = 2});
      shapes.push_back({});
    }
    int moves = 0;
    for (const MeshShape& shape : shapes) {
      SCOPED_TRACE(FormatMesh(shape));
      const std::string to =
          folder_.File(absl::StrCat("step_", step, "_", ++moves));
      ASSERT_OK(Move(shape, from, to));
      EXPECT_EQ(Read(to, step), saved);
      from = to;
    }
  }
}

}  // namespace
}  // namespace caracal
