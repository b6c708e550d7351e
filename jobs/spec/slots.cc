#include "jobs/spec/slots.h"

#include <algorithm>

#include "jobs/spec/layout.h"

namespace caracal {

int64_t SlotsOf(const proto::Job& job, int64_t slots) {
  // Of a job that is refused they may be more than an int holds.
  const MeshShape mesh = TransferLayout(job);
  const int64_t ranks = int64_t{mesh.data} * mesh.tensor * mesh.layer;
  return job.threads() > 0 ? ranks * job.threads() : std::max(ranks, slots);
}

int ThreadsOf(const proto::Job& job, int64_t slots) {
  if (job.threads() > 0) return job.threads();
  return static_cast<int>(
      std::max<int64_t>(1, slots / TransferLayout(job).ranks()));
}

}  // namespace caracal
