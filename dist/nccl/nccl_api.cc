#include "dist/nccl/nccl_api.h"

#include "absl/strings/str_cat.h"

namespace caracal {

absl::Status NcclStatus(ncclResult_t code, ncclComm_t comm,
                        absl::string_view call, absl::string_view where) {
  const absl::StatusCode status = code == ncclInvalidArgument ||
                                          code == ncclInvalidUsage ||
                                          code == ncclInternalError
                                      ? absl::StatusCode::kInternal
                                      : absl::StatusCode::kUnavailable;
  const absl::string_view more = ncclGetLastError(comm);
  return absl::Status(status, absl::StrCat(call, " failed ", where, ": ",
                                           ncclGetErrorString(code),
                                           more.empty() ? "" : ": ", more));
}

absl::Status CudaStatus(cudaError_t code, absl::string_view call,
                        absl::string_view where) {
  if (code == cudaSuccess) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(call, " failed ", where, ": ",
                                             cudaGetErrorName(code), ": ",
                                             cudaGetErrorString(code)));
}

}  // namespace caracal
