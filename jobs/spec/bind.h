// Puts a value tree into a message, by the names of its fields: the one place
// where unknown fields, wrong types and doubled fields are found.
#ifndef CARACAL_JOBS_SPEC_BIND_H_
#define CARACAL_JOBS_SPEC_BIND_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/value_tree.h"

namespace caracal {

// "a.b", or "b" where `path` is empty.
std::string JoinField(absl::string_view path, absl::string_view name);
// "a[2]".
std::string FieldAt(absl::string_view path, int index);

// Adds the members of `block` (a kBlock) to `message`, the field `path` of the
// job. Problems are appended, and the rest is bound all the same. `file` names
// the source in locations ("job.textproto"; the line is added). Field names
// are those of the .proto file, or their lowerCamelCase.
void BindValue(const Value& block, absl::string_view path,
               absl::string_view file, google::protobuf::Message* message,
               FieldLocations* locations, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_BIND_H_
