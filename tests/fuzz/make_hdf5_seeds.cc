// Writes small files of ours for the fuzzers of their readers.
//
// Usage: make_hdf5_seeds PACKED.h5 CHECKPOINT_FOLDER
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/io/dataset/packed_dataset.h"
#include "dist/checkpoint/writer.h"
#include "jobs/data/row_writer.h"

namespace caracal {
namespace {

absl::Status WritePacked(const std::string& path) {
  ASSIGN_OR_RETURN(const auto writer,
                   RowWriter::Create(path, 8, FileSystem::Posix()));
  std::vector<int32_t> tokens(20);
  std::iota(tokens.begin(), tokens.end(), 0);
  for (const bool in_loss : {false, true, true}) {
    RETURN_IF_ERROR(writer->Add(tokens, in_loss));
    writer->EndDocument();
  }
  RETURN_IF_ERROR(writer->Finish());
  hdf5::File& file = *writer->file();
  RETURN_IF_ERROR(
      file.SetAttribute("/", "format", absl::string_view(kPackedFormat)));
  RETURN_IF_ERROR(file.SetAttribute("/", "format_version", kPackedVersion));
  RETURN_IF_ERROR(file.SetAttribute("/", "tokenizer_fingerprint", "abc"));
  RETURN_IF_ERROR(
      file.SetAttribute("/", "max_token_id", int64_t{writer->max_token_id()}));
  return writer->Commit();
}

absl::Status WriteSampleCheckpoint(const std::string& folder) {
  const std::vector<float> values(16, 0.5f);
  const std::vector<int64_t> rows = {3, -1, INT64_MAX};
  CheckpointContents contents;
  contents.step = 7;
  contents.model_fingerprint = "model";
  contents.job_fingerprint = "job";
  contents.created_by = "caracal";
  contents.tensors = {
      {"parameters/w", DType::kF32, {4, 4}, values.data(), {}},
      {"optimizer/m/w",
       DType::kF32,
       {4, 4},
       values.data(),
       TensorShard{{8, 4}, {4, 0}}},
      {"cursor/rows", DType::kI64, {3}, rows.data(), {}},
  };
  contents.strings = {{"schedule", "{\"step\": 7}"}};
  contents.integers = {{"seed", -7}};
  contents.numbers = {{"best_loss", 0.5}};
  return WriteCheckpoint(FileSystem::Posix(), folder, contents);
}

}  // namespace
}  // namespace caracal

int main(int argc, char** argv) {
  CARACAL_CHECK_EQ(argc, 3) << "usage: make_hdf5_seeds PACKED.h5 FOLDER";
  for (const absl::Status& status : {caracal::WritePacked(argv[1]),
                                     caracal::WriteSampleCheckpoint(argv[2])}) {
    if (status.ok()) continue;
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
