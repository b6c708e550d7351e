// Which window a job asks for.
#ifndef CARACAL_JOBS_SPEC_WINDOW_KIND_H_
#define CARACAL_JOBS_SPEC_WINDOW_KIND_H_

#include "kernels/hybrid_attention/hybrid_attention.h"
#include "proto/job.pb.h"

namespace caracal {

// Of a valid, expanded job's attention.
inline kernels::WindowKind WindowKindOf(const proto::Attention& attention) {
  if (attention.window_kind() != "terraced") {
    return kernels::WindowKind::kSliding;
  }
  return attention.compat() == proto::Attention::LOLCATS_REFERENCE
             ? kernels::WindowKind::kLolcatsTerraced
             : kernels::WindowKind::kTerraced;
}

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_WINDOW_KIND_H_
