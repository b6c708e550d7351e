// NCCL's interface and its one error macro. Included by sources of dist/nccl
// only.
#ifndef CARACAL_DIST_NCCL_NCCL_API_H_
#define CARACAL_DIST_NCCL_NCCL_API_H_

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace caracal {

// What NCCL says of an error: "ncclAllReduce failed WHERE: TEXT". kInternal for
// calls that can't be right, kUnavailable for the rest: a lost peer, a broken
// link, a device that failed. `comm` may be null.
absl::Status NcclStatus(ncclResult_t code, ncclComm_t comm,
                        absl::string_view call, absl::string_view where);
// The same of the CUDA runtime.
absl::Status CudaStatus(cudaError_t code, absl::string_view call,
                        absl::string_view where);

// Until all that was put on the stream is done. Between looks at it `check` is
// called, whose error ends the waiting; kDeadlineExceeded after the timeout.
absl::Status AwaitStream(cudaStream_t stream, absl::Duration timeout,
                         absl::string_view where,
                         absl::FunctionRef<absl::Status()> check);

}  // namespace caracal

// CARACAL_RETURN_IF_NCCL_ERROR(ncclGroupEnd(), comm, "in Send on rank 1");
// `where` names the group, the rank and the peer; it is evaluated only when
// there is an error.
#define CARACAL_RETURN_IF_NCCL_ERROR(call, comm, where)               \
  do {                                                                \
    if (const ncclResult_t caracal_nccl_code_ = (call);               \
        caracal_nccl_code_ != ncclSuccess) {                          \
      const absl::string_view caracal_nccl_call_ = #call;             \
      return ::caracal::NcclStatus(                                   \
          caracal_nccl_code_, (comm),                                 \
          caracal_nccl_call_.substr(0, caracal_nccl_call_.find('(')), \
          (where));                                                   \
    }                                                                 \
  } while (false)

#endif  // CARACAL_DIST_NCCL_NCCL_API_H_
