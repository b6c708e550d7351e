// MPI's beginning and end in a process, and the groups made in between.
#ifndef CARACAL_DIST_MPI_MPI_RUNTIME_H_
#define CARACAL_DIST_MPI_MPI_RUNTIME_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/collective/collective.h"
#include "dist/mpi/mpi_group.h"

namespace caracal {

// One a process, for the thread that started it; outlives its groups. The
// groups may each be used by a thread of their own: MPI is started for that.
class MpiRuntime {
 public:
  // Under mpirun or srun this process becomes one of their ranks, otherwise the
  // only one. kFailedPrecondition when MPI was started before, or supports
  // fewer threads than we use.
  static absl::StatusOr<std::unique_ptr<MpiRuntime>> Start();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;
  // Waits for all ranks to end; after an error of a group, Abort instead.
  ~MpiRuntime();

  int rank() const { return rank_; }
  int size() const { return size_; }
  const std::string& host() const { return host_; }
  // Whether this host has a core for each of its ranks.
  bool ranks_have_cores() const { return ranks_have_cores_; }

  // A new group of the ranks that give the same `color` (>= 0), ordered by
  // `key` and then by rank. Every rank of the runtime calls, in the same order.
  // `name` goes into the group's errors ("data group").
  absl::StatusOr<std::unique_ptr<Collective>> Split(
      int color, int key, const std::string& name,
      const MpiOptions& options = MpiOptions());
  // A new group of all ranks.
  absl::StatusOr<std::unique_ptr<Collective>> World(
      const std::string& name, const MpiOptions& options = MpiOptions());

  // As Split, for what is no Collective. The caller frees the communicator.
  absl::StatusOr<MpiGroup> SplitGroup(int color, int key,
                                      const std::string& name,
                                      const MpiOptions& options);

  // Ends every rank's process at once, with this exit status. Thread-safe.
  [[noreturn]] void Abort(int exit_status);

 private:
  MpiRuntime() = default;

  int rank_ = 0;
  int size_ = 1;
  std::string host_;
  bool ranks_have_cores_ = false;
};

// kFailedPrecondition unless `provided`, what MPI_Init_thread gave, is
// MPI_THREAD_MULTIPLE.
absl::Status CheckThreadSupport(int provided);

}  // namespace caracal

#endif  // CARACAL_DIST_MPI_MPI_RUNTIME_H_
