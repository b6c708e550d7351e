#include "jobs/convert/phases.h"

#include "jobs/spec/layout.h"
#include "jobs/train/student_config.h"

namespace caracal {

std::vector<Phase> PhasesOf(const proto::Job& job, int first, bool alone) {
  std::vector<Phase> phases;
  for (int i = first; i < job.stages_size(); ++i) {
    const MeshShape shape = alone ? MeshShape() : LayoutOf(job, job.stages(i));
    // A stage without steps needs no layout of its own.
    if (phases.empty() ||
        (StepsOf(job.stages(i)) > 0 && !(phases.back().shape == shape))) {
      phases.push_back({shape, i, i});
    }
    phases.back().end = i + 1;
  }
  return phases;
}

}  // namespace caracal
