#include "dist/mpi/mpi_api.h"

#include "absl/strings/str_cat.h"

namespace caracal {

absl::Status MpiStatus(int code, absl::string_view call,
                       absl::string_view where) {
  char text[MPI_MAX_ERROR_STRING] = "an error without a text";
  int length = 0, error_class = MPI_ERR_UNKNOWN;
  MPI_Error_string(code, text, &length);
  MPI_Error_class(code, &error_class);
  absl::StatusCode status = absl::StatusCode::kUnavailable;
  switch (error_class) {
    case MPI_ERR_NO_MEM:
      status = absl::StatusCode::kResourceExhausted;
      break;
    case MPI_ERR_ARG:
    case MPI_ERR_BUFFER:
    case MPI_ERR_COMM:
    case MPI_ERR_COUNT:
    case MPI_ERR_RANK:
    case MPI_ERR_REQUEST:
    case MPI_ERR_TAG:
    case MPI_ERR_TRUNCATE:
    case MPI_ERR_TYPE:
      status = absl::StatusCode::kInternal;
      break;
  }
  return absl::Status(status,
                      absl::StrCat(call, " failed ", where, ": ", text));
}

}  // namespace caracal
