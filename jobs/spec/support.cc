#include "jobs/spec/support.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/field_rules.h"
#include "jobs/spec/set_field.h"

namespace caracal {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

struct Unsupported {
  const char* field;    // as in FieldRule
  const char* allowed;  // the values that are run; "": the field must be unset
  const char* what;     // what other values need, a noun phrase
};

constexpr Unsupported kUnsupported[] = {
    {"Job.device", "cpu auto", "training on a GPU"},
};

struct Hit {
  std::string field;
  const char* what;
};

bool IsAllowed(const Message& message, const FieldDescriptor* field,
               const Unsupported& row) {
  const std::vector<std::string> allowed = SplitWords(row.allowed);
  if (allowed.empty()) return false;
  const std::string text = ScalarFieldText(message, field, -1);
  return std::find(allowed.begin(), allowed.end(), text) != allowed.end();
}

void FindHits(const Message& message, absl::string_view path,
              std::vector<Hit>* hits) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = JoinField(path, field->name());
    bool refused = false;
    for (const Unsupported& row : kUnsupported) {
      if (RuleName(field) == row.field && !IsAllowed(message, field, row)) {
        hits->push_back({name, row.what});
        refused = true;
      }
    }
    if (refused || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    if (!field->is_repeated()) {
      FindHits(reflection->GetMessage(message, field), name, hits);
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      FindHits(reflection->GetRepeatedMessage(message, field, i),
               FieldAt(name, i), hits);
    }
  }
}

}  // namespace

void CheckSupport(const proto::Job& expanded, std::vector<Problem>* problems) {
  std::vector<Hit> hits;
  FindHits(expanded, "", &hits);
  for (const Hit& hit : hits) {
    problems->push_back(
        {hit.field, absl::StrCat(hit.what, " is not run by this version"), ""});
  }
}

}  // namespace caracal
