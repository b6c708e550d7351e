// A student's trained tensors as one safetensors file:
//   layers.{i}.feature_map_{q,k} [H, D, F]   layers.{i}.window_factor [H]
//   layers.{i}.feature_map_{q,k}_bias [H, F], where the maps have one
//   layers.{i}.lora.{q,k,v,o,...}.A [r, in], .B [out, r]
#ifndef CARACAL_CORE_MODEL_STUDENT_FILE_H_
#define CARACAL_CORE_MODEL_STUDENT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/adapters.h"

namespace caracal {

// What the file says about the student's shape: whether it has LoRA, its rank,
// the projections, F.
struct StudentFileShape {
  int64_t features = 0;
  bool feature_bias = false, tied_features = false;
  bool has_lora = false;
  LoraConfig lora;  // alpha is not in the file: left at its default
};
absl::StatusOr<StudentFileShape> ReadStudentShape(const std::string& path);

// Fills every adapter tensor; LoRA becomes active when the file has any.
// A tensor that is missing, of another shape, not finite, or unknown is an
// error that names file and tensor.
absl::Status ReadStudent(const std::string& path, Adapters* adapters);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_STUDENT_FILE_H_
