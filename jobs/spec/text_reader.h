// Protobuf text format to a value tree.
#ifndef CARACAL_JOBS_SPEC_TEXT_READER_H_
#define CARACAL_JOBS_SPEC_TEXT_READER_H_

#include "absl/strings/string_view.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// The whole text as one block, with every place that is not text format: after
// each, it goes on with the next member. Members that can't be read are
// kUnread; a block without an end has all that follows in it. Extensions and
// Any are not read.
ParsedText ReadTextFormat(absl::string_view text);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_TEXT_READER_H_
