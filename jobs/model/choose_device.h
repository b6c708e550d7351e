// Which device a command's model runs on.
#ifndef CARACAL_JOBS_MODEL_CHOOSE_DEVICE_H_
#define CARACAL_JOBS_MODEL_CHOOSE_DEVICE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/io/model_config.h"
#include "jobs/model/compute.h"

namespace caracal {

// Whether ChooseDevice() may succeed for some model: for programs that are to
// refuse to start rather than fail later. Errors are those that it would have.
absl::Status CheckDevice(const std::string& name);

// What a GPU refuses, for someone who had asked for one: with what to do.
absl::Status OrOnCpu(const absl::Status& refused);

// What to tell of "auto" that is the CPU, since GPUs were refused. Empty where
// there is none: nobody expects one.
std::string WhyOnCpu(const absl::Status& refused);

// "cpu"; "cuda"; or "auto": a GPU where there is one that runs the model. On a
// GPU passes of `compute` run there from now on; it must not have one yet.
// Errors, of "cuda" those of FindCuda() and CheckCudaModel() and of both
// UseCuda()'s, are one line; kInvalidArgument for another name. Why "auto" is
// the CPU although there is a GPU goes to *warnings.
absl::Status ChooseDevice(const std::string& name, const ModelConfig& model,
                          Compute* compute,
                          std::vector<std::string>* warnings = nullptr);

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_CHOOSE_DEVICE_H_
