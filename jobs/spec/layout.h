// How the ranks of a job are laid out, stage by stage.
#ifndef CARACAL_JOBS_SPEC_LAYOUT_H_
#define CARACAL_JOBS_SPEC_LAYOUT_H_

#include "dist/mesh/mesh.h"
#include "proto/job.pb.h"

namespace caracal {

// All of them are of as many ranks (ValidateJob sees to it). Unset fields count
// as 1.
MeshShape TransferLayout(const proto::Job& job);
// Of fine-tuning stages, and of what looks at the whole model after training:
// never with a layer chain. What `parallel.finetune` leaves open follows from
// the number of ranks; without it the layer chain's ranks are data ranks.
MeshShape FinetuneLayout(const proto::Job& job);
MeshShape LayoutOf(const proto::Job& job, const proto::Stage& stage);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_LAYOUT_H_
