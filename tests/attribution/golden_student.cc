#include "tests/attribution/golden_student.h"

#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/io/hdf5/hdf5.h"
#include "tests/model/golden.h"

namespace caracal {

absl::StatusOr<std::unique_ptr<GoldenStudent>> GoldenStudent::Make(
    const kernels::HybridAttentionConfig& attention,
    const std::vector<int64_t>& document_length) {
  auto out = std::make_unique<GoldenStudent>();
  const std::string folder = golden::ModelFolder("tiny_gqa");
  ASSIGN_OR_RETURN(out->expected_,
                   golden::ReadGoldenJson(folder + "/expected.json"));
  ASSIGN_OR_RETURN(out->model_, golden::GoldenModel::Load(folder));
  LoraConfig lora;
  lora.rank = out->expected_["lora_rank"];
  lora.alpha = out->expected_["lora_alpha"];
  RETURN_IF_ERROR(out->model_->SetStudent(attention, lora,
                                          folder + "/student.safetensors"));
  ASSIGN_OR_RETURN(const golden::GoldenTensors tensors,
                   golden::ReadGoldenTensors(folder + "/rows.safetensors"));
  const golden::GoldenTensor& tokens = tensors.at("tokens");
  const int64_t rows = tokens.shape[0], length = tokens.shape[1];
  const std::string path = JoinPath(out->folder_.path(), "rows.h5");
  {
    ASSIGN_OR_RETURN(hdf5::File file, hdf5::File::Create(path));
    RETURN_IF_ERROR(file.Write<int32_t>(
        "/tokens", {static_cast<uint64_t>(rows), static_cast<uint64_t>(length)},
        golden::GoldenRows(tensors, "tokens", 0, rows, length)));
    std::vector<int64_t> document;
    for (int64_t i = 0; i < rows * length; ++i) {
      const size_t row = i / length;
      document.push_back(row < document_length.size()
                             ? i - i % length +
                                   i % length / document_length[row]
                             : row * length);
    }
    if (!document_length.empty()) {
      RETURN_IF_ERROR(file.Write<int64_t>(
          kDocumentDataset,
          {static_cast<uint64_t>(rows), static_cast<uint64_t>(length)},
          document));
    }
    RETURN_IF_ERROR(file.Close());
  }
  ASSIGN_OR_RETURN(out->data_, PackedDataset::Open(path));
  return out;
}

}  // namespace caracal
