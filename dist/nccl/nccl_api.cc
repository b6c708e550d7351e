#include "dist/nccl/nccl_api.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/clock.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr absl::Duration kNap = absl::Microseconds(20);

}  // namespace

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

absl::Status AwaitStream(cudaStream_t stream, absl::Duration timeout,
                         absl::string_view where,
                         absl::FunctionRef<absl::Status()> check) {
  const absl::Duration begin = Clock::Real()->Now();
  while (true) {
    const cudaError_t state = cudaStreamQuery(stream);
    if (state == cudaSuccess) return absl::OkStatus();
    if (state != cudaErrorNotReady) {
      return CudaStatus(state, "cudaStreamQuery", where);
    }
    RETURN_IF_ERROR(check());
    const absl::Duration waited = Clock::Real()->Now() - begin;
    if (waited >= timeout) {
      return absl::DeadlineExceededError(
          absl::StrCat("the stream is not done after ",
                       absl::FormatDuration(waited), " ", where));
    }
    absl::SleepFor(kNap);
  }
}

}  // namespace caracal
