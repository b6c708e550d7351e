#include "jobs/model/choose_device.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/device/open_cuda.h"
#include "core/model/ops/make_cuda_ops.h"

namespace caracal {

absl::Status CheckDevice(const std::string& name) {
  if (name == "cuda") return FindCuda();
  if (name == "cpu" || name == "auto") return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--device: there is no '", name, "'; use cpu, cuda or auto"));
}

absl::Status OrOnCpu(const absl::Status& refused) {
  return absl::Status(refused.code(), absl::StrCat(refused.message(),
                                                   "; choose the device cpu"));
}

std::string WhyOnCpu(const absl::Status& refused) {
  // A driver that is too old shows none.
  if (CudaBusIds().empty() && !absl::IsFailedPrecondition(refused)) return "";
  return absl::StrCat("on the CPU, not on the GPU that is here: ",
                      refused.message());
}

absl::Status ChooseDevice(const std::string& name, const ModelConfig& model,
                          Compute* compute,
                          std::vector<std::string>* warnings) {
  RETURN_IF_ERROR(CheckDevice(name));
  if (name == "cpu") return absl::OkStatus();
  const absl::Status found = FindCuda();
  const absl::Status runs = found.ok() ? CheckCudaModel(model) : found;
  if (!runs.ok()) {
    if (name == "cuda") return found.ok() ? OrOnCpu(runs) : found;
    const std::string why = WhyOnCpu(runs);
    if (warnings != nullptr && !why.empty()) warnings->push_back(why);
    return absl::OkStatus();
  }
  return compute->UseCuda();
}

}  // namespace caracal
