#include "dist/mpi/mpi_beats.h"

#include <utility>

#include "core/base/status.h"

namespace caracal {
namespace {

constexpr int kTag = 1;

}  // namespace

absl::StatusOr<std::unique_ptr<MpiBeats>> MpiBeats::Make(MpiRuntime& runtime) {
  ASSIGN_OR_RETURN(MpiGroup group,
                   runtime.SplitGroup(0, runtime.rank(), "ring of beats", {}));
  return std::unique_ptr<MpiBeats>(new MpiBeats(std::move(group)));
}

MpiBeats::MpiBeats(MpiGroup group)
    : group_(std::move(group)),
      before_((group_.rank + group_.size - 1) % group_.size),
      after_((group_.rank + 1) % group_.size) {}

MpiBeats::~MpiBeats() {
  if (sending_ != MPI_REQUEST_NULL) MPI_Request_free(&sending_);
  MPI_Comm comm = group_.comm;
  MPI_Comm_free(&comm);
}

void MpiBeats::Send() {
  int done = 1;
  if (sending_ != MPI_REQUEST_NULL) {
    MPI_Test(&sending_, &done, MPI_STATUS_IGNORE);
  }
  // No bytes: that it comes is the message.
  if (done) {
    MPI_Isend(nullptr, 0, MPI_BYTE, before_, kTag, group_.comm, &sending_);
  }
}

bool MpiBeats::Receive() {
  bool any = false;
  while (true) {
    int there = 0;
    if (MPI_Iprobe(after_, kTag, group_.comm, &there, MPI_STATUS_IGNORE) !=
            MPI_SUCCESS ||
        !there ||
        MPI_Recv(nullptr, 0, MPI_BYTE, after_, kTag, group_.comm,
                 MPI_STATUS_IGNORE) != MPI_SUCCESS) {
      return any;
    }
    any = true;
  }
}

}  // namespace caracal
