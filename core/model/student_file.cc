#include "core/model/student_file.h"

#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "core/base/status.h"
#include "core/io/safetensors_file.h"
#include "kernels/quant/dequantize.h"

namespace caracal {
namespace {

const SafetensorsTensor* Find(const SafetensorsFile& file,
                              absl::string_view name) {
  for (const SafetensorsTensor& t : file.tensors()) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "" : ", ", shape[i]);
  }
  return out + "]";
}

std::vector<int64_t> ShapeOf(const TensorView& view) {
  return {view.shape, view.shape + view.rank};
}

}  // namespace

absl::StatusOr<StudentFileShape> ReadStudentShape(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file,
                   SafetensorsFile::Open(path));
  StudentFileShape shape;
  const SafetensorsTensor* map = Find(*file, "layers.0.feature_map_q");
  if (map == nullptr || map->shape.size() != 3) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ": no tensor layers.0.feature_map_q [heads, head_dim, features]; "
        "is this a student's file?"));
  }
  shape.features = map->shape[2];
  shape.feature_bias = Find(*file, "layers.0.feature_map_q_bias") != nullptr;
  shape.tied_features = Find(*file, "layers.0.feature_map_k") == nullptr;
  shape.lora.projections.fill(false);
  for (int p = 0; p < kProjections; ++p) {
    const SafetensorsTensor* a =
        Find(*file, absl::StrCat("layers.0.lora.", kProjectionNames[p], ".A"));
    if (a == nullptr || a->shape.size() != 2) continue;
    shape.has_lora = true;
    shape.lora.projections[p] = true;
    shape.lora.rank = a->shape[0];
  }
  return shape;
}

absl::Status ReadStudent(const std::string& path, Adapters* adapters) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SafetensorsFile> file,
                   SafetensorsFile::Open(path));
  bool has_lora = false;
  for (const SafetensorsTensor& t : file->tensors()) {
    if (adapters->parameters().Find(t.name) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": tensor ", t.name, " belongs to no adapter of this model"));
    }
    has_lora |= absl::StrContains(t.name, ".lora.");
  }
  for (const Parameter& p : adapters->parameters().parameters()) {
    // A student that was never fine-tuned has no LoRA tensors.
    if (p.group == ParameterGroup::kLora && !has_lora) continue;
    const SafetensorsTensor* t = Find(*file, p.name);
    if (t == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", p.name, " is missing"));
    }
    if (t->shape != ShapeOf(p.value)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": tensor ", p.name, " is ", ShapeText(t->shape),
                       ", the model needs ", ShapeText(ShapeOf(p.value))));
    }
    kernels::DequantizeRow(t->encoding, t->data.data(), p.value.size(),
                           p.value.f32());
    const int64_t bad = kernels::FirstNonFinite(p.value.f32(), p.value.size());
    if (bad >= 0) {
      return absl::DataLossError(absl::StrCat(path, ": tensor ", p.name,
                                              ": element ", bad, " is ",
                                              p.value.f32()[bad]));
    }
  }
  adapters->lora_active = has_lora;
  return absl::OkStatus();
}

}  // namespace caracal
