// JSON to a value tree.
#ifndef CARACAL_JOBS_SPEC_JSON_READER_H_
#define CARACAL_JOBS_SPEC_JSON_READER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// The whole text, which must be one object. kInvalidArgument: "line 3: ..." at
// the first place that is not JSON.
absl::StatusOr<Value> ReadJson(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_JSON_READER_H_
