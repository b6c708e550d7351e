// The rows behind jobs/spec/field_rules.h.
#ifndef CARACAL_JOBS_SPEC_FIELD_TABLE_H_
#define CARACAL_JOBS_SPEC_FIELD_TABLE_H_

#include "absl/types/span.h"
#include "jobs/spec/field_rules.h"

namespace caracal {

absl::Span<const FieldRule> FieldTable();

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_FIELD_TABLE_H_
