// Protobuf text format to a value tree.
#ifndef CARACAL_JOBS_SPEC_TEXT_READER_H_
#define CARACAL_JOBS_SPEC_TEXT_READER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// The whole text as one block. kInvalidArgument: "line 3: expected ..." at the
// first place that is not text format. Extensions and Any are not read.
absl::StatusOr<Value> ReadTextFormat(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_TEXT_READER_H_
