#include "dist/mpi/mpi_runtime.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/status.h"
#include "dist/mpi/mpi_api.h"
#include "dist/mpi/mpi_collective.h"

namespace caracal {
namespace {

const char* NameOfThreadLevel(int level) {
  switch (level) {
    case MPI_THREAD_SINGLE:
      return "MPI_THREAD_SINGLE";
    case MPI_THREAD_FUNNELED:
      return "MPI_THREAD_FUNNELED";
    case MPI_THREAD_SERIALIZED:
      return "MPI_THREAD_SERIALIZED";
    case MPI_THREAD_MULTIPLE:
      return "MPI_THREAD_MULTIPLE";
  }
  return "an unknown thread level";
}

}  // namespace

absl::Status CheckThreadSupport(int provided) {
  if (provided == MPI_THREAD_MULTIPLE) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "this MPI library gives ", NameOfThreadLevel(provided),
      ", but gradients are reduced by a thread of their own, which needs ",
      NameOfThreadLevel(MPI_THREAD_MULTIPLE)));
}

absl::StatusOr<std::unique_ptr<MpiRuntime>> MpiRuntime::Start() {
  int started = 0;
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Initialized(&started), "at the start");
  if (started) {
    return absl::FailedPreconditionError(
        "MPI was started already in this process, and starts only once");
  }
  int provided = MPI_THREAD_SINGLE;
  CARACAL_RETURN_IF_MPI_ERROR(
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided),
      "at the start");
  // From here on the destructor ends MPI.
  std::unique_ptr<MpiRuntime> runtime(new MpiRuntime());
  RETURN_IF_ERROR(CheckThreadSupport(provided));
  for (const MPI_Comm comm : {MPI_COMM_WORLD, MPI_COMM_SELF}) {
    CARACAL_RETURN_IF_MPI_ERROR(
        MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "at the start");
  }
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_rank(MPI_COMM_WORLD, &runtime->rank_),
                              "at the start");
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_size(MPI_COMM_WORLD, &runtime->size_),
                              "at the start");
  char host[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  CARACAL_RETURN_IF_MPI_ERROR(
      MPI_Get_processor_name(host, &length),
      absl::StrCat("at the start of rank ", runtime->rank_));
  runtime->host_.assign(host, length);
  MPI_Comm on_host = MPI_COMM_NULL;
  int ranks_on_host = 1;
  CARACAL_RETURN_IF_MPI_ERROR(
      MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0,
                          MPI_INFO_NULL, &on_host),
      "at the start");
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_size(on_host, &ranks_on_host),
                              "at the start");
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_free(&on_host), "at the start");
  // Not those that this rank is held to.
  runtime->ranks_have_cores_ = ranks_on_host <= sysconf(_SC_NPROCESSORS_ONLN);
  return runtime;
}

MpiRuntime::~MpiRuntime() { MPI_Finalize(); }

absl::StatusOr<MpiGroup> MpiRuntime::SplitGroup(int color, int key,
                                                const std::string& name,
                                                const MpiOptions& options) {
  CARACAL_CHECK(color >= 0) << "color " << color;
  const auto where = [&] {
    return absl::StrCat("for the ", name, " on rank ", rank_, " of ", size_);
  };
  MpiGroup group;
  group.name = name;
  group.options = options;
  // A split inherits the error handler.
  CARACAL_RETURN_IF_MPI_ERROR(
      MPI_Comm_split(MPI_COMM_WORLD, color, key, &group.comm), where());
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_rank(group.comm, &group.rank), where());
  CARACAL_RETURN_IF_MPI_ERROR(MPI_Comm_size(group.comm, &group.size), where());
  group.world_ranks.resize(group.size);
  CARACAL_RETURN_IF_MPI_ERROR(
      MPI_Allgather(&rank_, 1, MPI_INT, group.world_ranks.data(), 1, MPI_INT,
                    group.comm),
      where());
  return group;
}

absl::StatusOr<std::unique_ptr<Collective>> MpiRuntime::Split(
    int color, int key, const std::string& name, const MpiOptions& options) {
  ASSIGN_OR_RETURN(MpiGroup group, SplitGroup(color, key, name, options));
  return std::make_unique<MpiCollective>(std::move(group));
}

absl::StatusOr<std::unique_ptr<Collective>> MpiRuntime::World(
    const std::string& name, const MpiOptions& options) {
  return Split(0, rank_, name, options);
}

void MpiRuntime::Abort(int exit_status) {
  // A second call would return at once, before the first has told the others.
  static std::atomic_flag aborts = ATOMIC_FLAG_INIT;
  while (aborts.test_and_set()) absl::SleepFor(absl::Hours(1));
  MPI_Abort(MPI_COMM_WORLD, exit_status);
  std::abort();  // MPI_Abort does not return.
}

}  // namespace caracal
