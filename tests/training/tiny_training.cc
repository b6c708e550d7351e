#include "tests/training/tiny_training.h"

#include <vector>

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "tests/model/golden.h"
#include "tests/model/golden_training.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<TinyTraining>> TinyTraining::Make(
    const std::string& preset, int32_t batch) {
  auto out = std::make_unique<TinyTraining>();
  out->job_ = golden::GoldenJob(preset, batch);
  const std::string folder = golden::ModelFolder("tiny_gqa");
  ASSIGN_OR_RETURN(out->model_, golden::GoldenModel::Load(folder));
  kernels::HybridAttentionConfig attention;
  attention.window = 8;
  attention.sinks = 2;
  LoraConfig lora;
  lora.rank = 4;
  RETURN_IF_ERROR(out->model_->SetStudent(attention, lora, ""));
  ASSIGN_OR_RETURN(const golden::GoldenTensors tensors,
                   golden::ReadGoldenTensors(folder + "/rows.safetensors"));
  const golden::GoldenTensor& tokens = tensors.at("tokens");
  const int64_t rows = tokens.shape[0], length = tokens.shape[1];
  const std::vector<int32_t> values =
      golden::GoldenRows(tensors, "tokens", 0, rows, length);
  const std::string path = JoinPath(out->folder_.path(), "rows.h5");
  {
    ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
    RETURN_IF_ERROR(file.Write<int32_t>(
        "/tokens", {static_cast<uint64_t>(rows), static_cast<uint64_t>(length)},
        values));
    RETURN_IF_ERROR(file.Close());
  }
  ASSIGN_OR_RETURN(out->data_, PackedDataset::Open(path));
  out->batch_ = std::make_unique<BatchBuffer>(batch, length - 1);
  return out;
}

absl::Status TinyTraining::Fill(int64_t step) {
  const int64_t n = job_.budget().batch();
  return batch_->Fill(
      *data_, n, [&](int64_t i) { return (step * n + i) % data_->rows(); });
}

}  // namespace caracal
