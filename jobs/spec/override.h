// `--set path=value`: changes one field of a job, whichever it is.
//   attention.window=32            a scalar; blocks on the way are created
//   stages[0].transfer.lr=1e-3     an element of a list; also stages.0.…
//   lora.projections=q,v           a list of scalars, replaced
//   lora.projections+=up           ..., appended to
//   schedule={ cosine { to: 0 } }  a block in text format, replaced
#ifndef CARACAL_JOBS_SPEC_OVERRIDE_H_
#define CARACAL_JOBS_SPEC_OVERRIDE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

// Applies one override. Problems (no '=', no such field with the closest name
// or the valid ones, an index that does not exist, a value that does not fit)
// are appended; the job is then unchanged, but for blocks created on the way.
// A preset is expanded before the first override of `stages`.
void ApplyOverride(absl::string_view text, proto::Job* job,
                   FieldLocations* locations, std::vector<Problem>* problems);

// Applies them in order, but those of `stages` last: what a preset expands to
// depends on other fields.
void ApplyOverrides(const std::vector<std::string>& texts, proto::Job* job,
                    FieldLocations* locations, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_OVERRIDE_H_
