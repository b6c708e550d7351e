// MPI's C interface and its one error macro. Included by sources of dist/mpi
// only.
#ifndef CARACAL_DIST_MPI_MPI_API_H_
#define CARACAL_DIST_MPI_MPI_API_H_

// Open MPI's retired C++ bindings would need another library.
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// What MPI says of an error code: "MPI_Isend failed WHERE: TEXT". kInternal for
// calls that can't be right, kResourceExhausted for want of memory and
// kUnavailable for the rest: a lost peer, a broken network.
absl::Status MpiStatus(int code, absl::string_view call,
                       absl::string_view where);

}  // namespace caracal

// CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_rank(comm, &rank), "in group 'data'");
// `where` names the group, the rank and the peer; it is evaluated only when
// there is an error.
#define CARACAL_RETURN_IF_MPI_ERROR(call, where)                              \
  do {                                                                        \
    if (const int caracal_mpi_code_ = (call);                                 \
        caracal_mpi_code_ != MPI_SUCCESS) {                                   \
      const absl::string_view caracal_mpi_call_ = #call;                      \
      return ::caracal::MpiStatus(                                            \
          caracal_mpi_code_,                                                  \
          caracal_mpi_call_.substr(0, caracal_mpi_call_.find('(')), (where)); \
    }                                                                         \
  } while (false)

#endif  // CARACAL_DIST_MPI_MPI_API_H_
