// Default, range and choices of every field of a job, as one table. Adding a
// field to proto/job.proto means adding a row here (a test insists).
#ifndef CARACAL_JOBS_SPEC_FIELD_RULES_H_
#define CARACAL_JOBS_SPEC_FIELD_RULES_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "jobs/spec/problem.h"

namespace caracal {

// Space-separated words of a table cell.
std::vector<std::string> SplitWords(const char* words);

inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// Which numbers a field takes. Zero width (both ends infinite): any.
struct NumberRange {
  double min = -kNoLimit, max = kNoLimit;
  bool min_open = false, max_open = false;  // the end itself is out

  bool Contains(double number) const;
  std::string ToString() const;  // "0 to 1", "above 0, below 1", "at least 1"
};

struct FieldRule {
  // "Attention.window": message and field, nested messages as in the .proto.
  const char* field;
  // Space-separated values (several for repeated fields); "{}" for a message
  // that is filled in when absent; null: no default of its own.
  const char* default_value = nullptr;
  NumberRange range = {};
  // Space-separated names that a string or enum may have; null: any.
  const char* choices = nullptr;
  // A string that names a folder: see IsFolderName.
  bool folder_name = false;
};

// Whether a text is safe as the name of a folder that a program makes: 1 to
// 100 of the characters A-Z a-z 0-9 . _ - + =, the first no dot and no dash.
bool IsFolderName(absl::string_view text);

// `text` as such a name: every other character becomes '_'. Never empty.
std::string AsFolderName(absl::string_view text);

// The row of a field; null when the table has none (a bug that the test of
// this file finds).
const FieldRule* FindFieldRule(const google::protobuf::FieldDescriptor* field);

// "Attention.window" of a field of a job.
std::string RuleName(const google::protobuf::FieldDescriptor* field);

// Writes the default of every field that is not set, in `message` and the
// messages within.
void FillDefaults(google::protobuf::Message* message);

// The opposite: clears every scalar that has its default value.
void ClearDefaults(google::protobuf::Message* message);

// Appends a problem for every value outside its range or choices in `message`,
// the field `path` of the job (empty for the job itself).
void CheckFieldRules(const google::protobuf::Message& message,
                     absl::string_view path, std::vector<Problem>* problems);

}  // namespace caracal

#endif  // CARACAL_JOBS_SPEC_FIELD_RULES_H_
