// A job's stages by the layout of ranks that they run on.
#ifndef CARACAL_JOBS_CONVERT_PHASES_H_
#define CARACAL_JOBS_CONVERT_PHASES_H_

#include <vector>

#include "dist/mesh/mesh.h"
#include "proto/job.pb.h"

namespace caracal {

// Consecutive stages of one layout: the model is loaded for each phase anew.
struct Phase {
  MeshShape shape;
  int begin = 0, end = 0;  // stages
};

// Those of stage `first` and later, of an expanded job. One process (`alone`)
// has one phase, whatever the job says of ranks.
std::vector<Phase> PhasesOf(const proto::Job& job, int first, bool alone);

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_PHASES_H_
