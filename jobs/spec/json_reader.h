// JSON to a value tree.
#ifndef CARACAL_JOBS_SPEC_JSON_READER_H_
#define CARACAL_JOBS_SPEC_JSON_READER_H_

#include "absl/strings/string_view.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// The whole text, which must be one object. At the first place that is not JSON
// nothing tells where the text goes on: what stands before it is in the tree.
// Where the text ends too early the blocks that are open are unclosed.
ParsedText ReadJson(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_JSON_READER_H_
