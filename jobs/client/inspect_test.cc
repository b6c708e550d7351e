#include "jobs/client/inspect.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/types/span.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/catalogue.h"
#include "dist/checkpoint/writer.h"
#include "jobs/client/testing/tiny_model.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class InspectTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = folder_.File(name);
    EXPECT_OK(files_->WriteFileAtomically(path, bytes));
    return path;
  }

  static nlohmann::ordered_json Value(const Inspection& inspection,
                                      const std::string& name) {
    for (const Inspection::Fact& fact : inspection.facts) {
      if (fact.name == name) return fact.value;
    }
    return "absent";
  }

  absl::Status WriteTinyCheckpoint(const std::string& folder, uint64_t step) {
    const float weights[] = {1, 2, 3};
    CheckpointContents contents;
    contents.step = step;
    contents.model_fingerprint = std::string(32, 'a');
    contents.job_fingerprint = std::string(32, 'b');
    contents.data_fingerprint = std::string(32, 'c');
    contents.created_by = "test";
    contents.tensors.push_back(
        {"parameters/w", DType::kF32, {3}, weights, std::nullopt});
    return WriteCheckpoint(files_, folder, contents);
  }

  FileSystem* files_ = FileSystem::Posix();
  TemporaryFolder folder_;
};

TEST_F(InspectTest, ModelFolder) {
  ASSERT_OK(WriteTinyModel(folder_.File("model")));
  ASSERT_OK_AND_ASSIGN(const Inspection plain,
                       InspectPath(folder_.File("model"), false));
  EXPECT_EQ(plain.format, "Hugging Face model");
  EXPECT_EQ(Value(plain, "model")["num_hidden_layers"], 2);
  EXPECT_EQ(plain.tensors.size(), 2u * 9 + 2);
  EXPECT_EQ(Value(plain, "fingerprint"), "absent");
  ASSERT_OK_AND_ASSIGN(const Inspection verified,
                       InspectPath(folder_.File("model"), true));
  EXPECT_OK(verified.problem);
  EXPECT_EQ(Value(verified, "fingerprint").get<std::string>().size(), 32u);
}

TEST_F(InspectTest, VerifyFindsNan) {
  ASSERT_OK(WriteTinyModel(folder_.File("model")));
  const std::string path = folder_.File("model/model.safetensors");
  ASSERT_OK_AND_ASSIGN(std::string bytes, files_->ReadFile(path));
  std::fill(bytes.end() - 4, bytes.end(), '\xFF');  // the last weight
  ASSERT_OK(files_->WriteFileAtomically(path, bytes));
  ASSERT_OK_AND_ASSIGN(const Inspection inspection,
                       InspectPath(folder_.File("model"), true));
  EXPECT_THAT(inspection.problem, StatusIs(absl::StatusCode::kDataLoss,
                                           HasSubstr("model.norm.weight")));
}

TEST_F(InspectTest, SafetensorsByItself) {
  ASSERT_OK(WriteTinyModel(folder_.File("model")));
  ASSERT_OK_AND_ASSIGN(
      const Inspection inspection,
      InspectPath(folder_.File("model/model.safetensors"), false));
  EXPECT_EQ(inspection.format, "safetensors");
  EXPECT_EQ(inspection.tensors.size(), 2u * 9 + 2);
  EXPECT_EQ(inspection.tensors[0].type, "F32");
}

TEST_F(InspectTest, GgufThatIsNoModelIsShownAndRefused) {
  const std::string empty = std::string("GGUF\3\0\0\0", 8) +
                            std::string(16, '\0');  // no tensors, no keys
  ASSERT_OK_AND_ASSIGN(const Inspection inspection,
                       InspectPath(Write("m.gguf", empty), false));
  EXPECT_EQ(inspection.format, "GGUF model, version 3");
  EXPECT_FALSE(inspection.problem.ok());
  EXPECT_THAT(std::string(inspection.problem.message()),
              HasSubstr("general.architecture"));
  EXPECT_THAT(InspectPath(Write("cut.gguf", empty.substr(0, 12)), false),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cut.gguf")));
}

TEST_F(InspectTest, PackedData) {
  ASSERT_OK(WriteTinyData(folder_.File("d.h5"), 3, 16));
  ASSERT_OK_AND_ASSIGN(const Inspection inspection,
                       InspectPath(folder_.File("d.h5"), true));
  EXPECT_EQ(inspection.format, "packed data");
  EXPECT_OK(inspection.problem);
  EXPECT_EQ(Value(inspection, "rows"), 3);
  EXPECT_EQ(Value(inspection, "row tokens"), 16);
  EXPECT_EQ(Value(inspection, "contents"), true);
}

TEST_F(InspectTest, AnyHdf5File) {
  {
    ASSERT_OK_AND_ASSIGN(hdf5::File file,
                         hdf5::File::Create(folder_.File("x.h5")));
    const float data[] = {1, 2};
    ASSERT_OK(file.Write<float>("/a/b", {2}, absl::MakeConstSpan(data)));
    ASSERT_OK(file.Close());
  }
  ASSERT_OK_AND_ASSIGN(const Inspection inspection,
                       InspectPath(folder_.File("x.h5"), false));
  EXPECT_EQ(inspection.format, "HDF5");
  ASSERT_EQ(inspection.tensors.size(), 1u);
  EXPECT_EQ(inspection.tensors[0].name, "a/b");
  EXPECT_EQ(inspection.tensors[0].bytes, 8u);
}

TEST_F(InspectTest, CheckpointsAndRuns) {
  const std::string run = folder_.File("run");
  for (const uint64_t step : {3, 7}) {
    ASSERT_OK(WriteTinyCheckpoint(CheckpointFolder(run, step), step));
  }
  ASSERT_OK_AND_ASSIGN(const Inspection checkpoint,
                       InspectPath(CheckpointFolder(run, 7), false));
  EXPECT_EQ(checkpoint.format, "checkpoint");
  EXPECT_OK(checkpoint.problem);
  EXPECT_EQ(Value(checkpoint, "step"), 7);
  EXPECT_EQ(Value(checkpoint, "job"), std::string(32, 'b'));
  EXPECT_EQ(Value(checkpoint, "data"), std::string(32, 'c'));
  EXPECT_EQ(Value(checkpoint, "validation"), "absent");
  EXPECT_TRUE(std::any_of(
      checkpoint.tensors.begin(), checkpoint.tensors.end(),
      [](const InspectedTensor& t) { return t.name == "parameters/w"; }));

  ASSERT_OK_AND_ASSIGN(const Inspection intact, InspectPath(run, false));
  EXPECT_EQ(intact.format, "run");
  EXPECT_OK(intact.problem);
  EXPECT_EQ(Value(intact, "resumes from"), CheckpointFolder(run, 7));

  const std::string rank = CheckpointFolder(run, 7) + "/rank-00000.h5";
  ASSERT_OK_AND_ASSIGN(std::string bytes, files_->ReadFile(rank));
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_OK(files_->WriteFileAtomically(rank, bytes));
  ASSERT_OK_AND_ASSIGN(const Inspection damaged,
                       InspectPath(CheckpointFolder(run, 7), false));
  EXPECT_THAT(damaged.problem, StatusIs(absl::StatusCode::kDataLoss,
                                        HasSubstr("rank-00000.h5")));
  ASSERT_OK_AND_ASSIGN(const Inspection older, InspectPath(run, false));
  EXPECT_EQ(Value(older, "resumes from"), CheckpointFolder(run, 3));
  EXPECT_FALSE(older.problem.ok());
}

// A file that is longer than it was written opens all the same, as HDF5 files
// do; the manifest knows better, and nobody has to ask.
TEST_F(InspectTest, SizesThatDisagreeWithTheManifestAreDamage) {
  const std::string run = folder_.File("run");
  for (const uint64_t step : {3, 7}) {
    ASSERT_OK(WriteTinyCheckpoint(CheckpointFolder(run, step), step));
  }
  ASSERT_OK(
      files_->Append(CheckpointFolder(run, 3) + "/rank-00000.h5", "more"));
  ASSERT_OK_AND_ASSIGN(const Inspection damaged,
                       InspectPath(CheckpointFolder(run, 3), false));
  EXPECT_EQ(Value(damaged, "contents"), false);
  EXPECT_THAT(damaged.problem, StatusIs(absl::StatusCode::kDataLoss,
                                        HasSubstr("rank-00000.h5: has ")));
  // An older one of a run too, though the run goes on from the newest.
  ASSERT_OK_AND_ASSIGN(const Inspection whole, InspectPath(run, false));
  EXPECT_EQ(Value(whole, "damaged"), nlohmann::ordered_json({3}));
  EXPECT_EQ(Value(whole, "resumes from"), CheckpointFolder(run, 7));
  EXPECT_THAT(whole.problem, StatusIs(absl::StatusCode::kDataLoss,
                                      HasSubstr("checkpoint-00000003")));
}

TEST_F(InspectTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THAT(InspectPath(Write("job", "preset: \"lolcats\""), false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is neither a GGUF")));
  EXPECT_THAT(InspectPath(Write("empty", ""), false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is neither a GGUF")));
  EXPECT_THAT(InspectPath(folder_.path(), false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither a Hugging Face folder")));
  EXPECT_THAT(InspectPath(folder_.File("none"), false),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

}  // namespace
}  // namespace caracal
