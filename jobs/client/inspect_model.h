// `caracal inspect` of models: GGUF and safetensors files, Hugging Face
// folders.
#ifndef CARACAL_JOBS_CLIENT_INSPECT_MODEL_H_
#define CARACAL_JOBS_CLIENT_INSPECT_MODEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "jobs/client/inspection.h"

namespace caracal {

// `verify`: also decodes every weight, which finds NaNs and infinities, and
// gives the model's fingerprint. A file that can be parsed but not be used as
// a model comes back with `problem`.
absl::StatusOr<Inspection> InspectGguf(const std::string& path, bool verify,
                                       FileSystem* files);
absl::StatusOr<Inspection> InspectModelFolder(const std::string& path,
                                              bool verify, FileSystem* files);
// One file of tensors by itself; there is no model to check it against.
absl::StatusOr<Inspection> InspectSafetensors(const std::string& path,
                                              FileSystem* files);

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_INSPECT_MODEL_H_
