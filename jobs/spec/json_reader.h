// JSON to a value tree.
#ifndef CARACAL_JOBS_SPEC_JSON_READER_H_
#define CARACAL_JOBS_SPEC_JSON_READER_H_

#include "absl/strings/string_view.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// The whole text, which must be one object. At the first place that is not JSON
// nothing tells where the text goes on: what stands before it is in the tree.
// Of a text that ends too early the tree is empty, for a brace may be missing
// anywhere.
ParsedText ReadJson(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_JSON_READER_H_
