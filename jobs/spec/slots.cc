#include "jobs/spec/slots.h"

#include <algorithm>

#include "jobs/spec/layout.h"

namespace caracal {

int64_t SlotsOf(const proto::Job& job, int64_t slots) {
  const int64_t ranks = TransferLayout(job).ranks();
  return job.threads() > 0 ? ranks * job.threads() : std::max(ranks, slots);
}

int ThreadsOf(const proto::Job& job, int64_t slots) {
  if (job.threads() > 0) return job.threads();
  return static_cast<int>(
      std::max<int64_t>(1, slots / TransferLayout(job).ranks()));
}

}  // namespace caracal
