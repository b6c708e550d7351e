#include "jobs/convert/phases.h"

#include "jobs/spec/layout.h"

namespace caracal {

std::vector<Phase> PhasesOf(const proto::Job& job, int first, bool alone) {
  std::vector<Phase> phases;
  for (int i = first; i < job.stages_size(); ++i) {
    const MeshShape shape = alone ? MeshShape() : LayoutOf(job, job.stages(i));
    if (phases.empty() || !(phases.back().shape == shape)) {
      phases.push_back({shape, i, i});
    }
    phases.back().end = i + 1;
  }
  return phases;
}

}  // namespace caracal
