// Beats over MPI.
#ifndef CARACAL_DIST_MPI_MPI_BEATS_H_
#define CARACAL_DIST_MPI_MPI_BEATS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "dist/liveness/beats.h"
#include "dist/mpi/mpi_group.h"
#include "dist/mpi/mpi_runtime.h"

namespace caracal {

class MpiBeats : public Beats {
 public:
  // Every rank of the runtime calls, as it does to make a group.
  static absl::StatusOr<std::unique_ptr<MpiBeats>> Make(MpiRuntime& runtime);
  MpiBeats(const MpiBeats&) = delete;
  MpiBeats& operator=(const MpiBeats&) = delete;
  // By all ranks, before MPI ends. Beats that nobody received are dropped.
  ~MpiBeats() override;

  void Send() override;
  bool Receive() override;

 private:
  explicit MpiBeats(MpiGroup group);

  const MpiGroup group_;
  const int before_, after_;  // ranks
  // One beat at a time: a rank that takes none is not sent more.
  MPI_Request sending_ = MPI_REQUEST_NULL;
};

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_BEATS_H_
