// Puts one scalar, as a user wrote it, into a field of a message.
#ifndef CARACAL_JOBS_SPEC_SET_FIELD_H_
#define CARACAL_JOBS_SPEC_SET_FIELD_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// `quoted` says that `text` was a string in the file: then it suits strings
// and enums; unquoted it suits numbers, true and false, and enums. Where a
// string is meant but not quoted (--set, tables), give quoted = true.
struct ScalarText {
  std::string text;
  bool quoted = false;
};

// Sets `field`, or appends where it is repeated; `index` >= 0 replaces that
// element instead. Enum names are matched whatever their case. `field` must
// not be a message. kInvalidArgument: what was expected and found, without the
// field's name.
absl::Status SetScalarField(const ScalarText& value,
                            const google::protobuf::FieldDescriptor* field,
                            int index, google::protobuf::Message* message);

// The names an enum field can be given, as people write them (lower case).
std::vector<std::string> EnumNames(
    const google::protobuf::EnumDescriptor* descriptor);

// The fields of a message.
std::vector<std::string> FieldNames(
    const google::protobuf::Descriptor* descriptor);

// The value of a scalar field as people write it: numbers in their shortest
// form, enum names in lower case, strings without quotes. `index` < 0 for
// fields that are not repeated.
std::string ScalarFieldText(const google::protobuf::Message& message,
                            const google::protobuf::FieldDescriptor* field,
                            int index);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_SET_FIELD_H_
