// Students of tests/golden/make_method_golden.py: described by the text of a
// job, with tensors that a hash gives.
#ifndef CARACAL_TESTS_MODEL_GOLDEN_STUDENT_H_
#define CARACAL_TESTS_MODEL_GOLDEN_STUDENT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "proto/job.pb.h"
#include "tests/model/golden_model.h"

namespace caracal::golden {

// The job of that text (of its `attention` alone, where it says no more) with
// everything filled in. LoRA as given.
proto::Job GoldenJobOf(const std::string& text, int64_t batch,
                       int64_t lora_rank, double lora_alpha);

// The student of an expanded job, every tensor at its initial value.
absl::Status SetInitialStudent(GoldenModel* model, const proto::Job& job);

// Likewise, then as after training: hashed_student() of
// tests/golden/reference_training.py.
absl::Status SetHashedStudent(GoldenModel* model, const proto::Job& job);

}  // namespace caracal::golden

#endif  // CARACAL_TESTS_MODEL_GOLDEN_STUDENT_H_
