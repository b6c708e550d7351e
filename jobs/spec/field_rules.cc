#include "jobs/spec/field_rules.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/closest_name.h"
#include "jobs/spec/field_table.h"
#include "jobs/spec/set_field.h"
#include "proto/job.pb.h"

namespace caracal {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

constexpr size_t kMaxFolderName = 100;

bool IsFolderNameCharacter(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("._-+=").find(c) != absl::string_view::npos;
}

bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// Tables are ours: a default that does not fit its field is a bug.
void SetDefault(const FieldRule& rule, const FieldDescriptor* field,
                Message* message) {
  const bool quoted = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  for (const std::string& word : SplitWords(rule.default_value)) {
    CARACAL_CHECK_OK(SetScalarField({word, quoted}, field, -1, message));
  }
}

bool HasField(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  return field->is_repeated() ? reflection->FieldSize(message, field) > 0
                              : reflection->HasField(message, field);
}

bool EqualsDefault(const Message& message, const FieldDescriptor* field,
                   const FieldRule& rule) {
  std::unique_ptr<Message> fresh(message.New());
  SetDefault(rule, field, fresh.get());
  const Reflection* reflection = message.GetReflection();
  if (!field->is_repeated()) {
    return ScalarFieldText(message, field, -1) ==
           ScalarFieldText(*fresh, field, -1);
  }
  const int size = reflection->FieldSize(message, field);
  if (size != reflection->FieldSize(*fresh, field)) return false;
  for (int i = 0; i < size; ++i) {
    if (ScalarFieldText(message, field, i) !=
        ScalarFieldText(*fresh, field, i)) {
      return false;
    }
  }
  return true;
}

double NumberOf(const Message& message, const FieldDescriptor* field,
                int index) {
  const Reflection* r = message.GetReflection();
  const bool at = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return at ? r->GetRepeatedInt32(message, field, index)
                : r->GetInt32(message, field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return at ? r->GetRepeatedDouble(message, field, index)
                : r->GetDouble(message, field);
    default:
      return 0;
  }
}

void CheckValue(const Message& message, const FieldDescriptor* field, int index,
                const FieldRule& rule, const std::string& path,
                std::vector<Problem>* problems) {
  const auto text = [&] { return ScalarFieldText(message, field, index); };
  const bool number = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
                      field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
  if (number && !rule.range.Contains(NumberOf(message, field, index))) {
    problems->push_back(
        {path, absl::StrCat("is ", text(), ", must be ", rule.range.ToString()),
         ""});
  }
  if (rule.folder_name && !IsFolderName(text())) {
    problems->push_back(
        {path,
         absl::StrCat("is '", absl::Utf8SafeCEscape(text()),
                      "', but a folder gets this name: expected 1 to ",
                      kMaxFolderName,
                      " letters, digits and ._-+= with neither a dot nor a "
                      "dash first"),
         ""});
  }
  if (rule.choices != nullptr) {
    const std::string found = text();
    for (const absl::string_view choice :
         absl::StrSplit(rule.choices, ' ', absl::SkipEmpty())) {
      if (found == choice) return;
    }
    problems->push_back(
        {path,
         absl::StrCat("there is no '", found, "' here; ",
                      SuggestName(found, SplitWords(rule.choices))),
         ""});
  }
}

}  // namespace

std::vector<std::string> SplitWords(const char* words) {
  return absl::StrSplit(words, ' ', absl::SkipEmpty());
}

bool IsFolderName(absl::string_view text) {
  return !text.empty() && text.size() <= kMaxFolderName && text[0] != '.' &&
         text[0] != '-' &&
         std::all_of(text.begin(), text.end(), IsFolderNameCharacter);
}

std::string AsFolderName(absl::string_view text) {
  std::string name(text.substr(0, kMaxFolderName));
  for (char& c : name) {
    if (!IsFolderNameCharacter(c)) c = '_';
  }
  if (name.empty() || name[0] == '.' || name[0] == '-') {
    name = absl::StrCat("_", name.substr(0, kMaxFolderName - 1));
  }
  return name;
}

bool NumberRange::Contains(double number) const {
  return (min_open ? number > min : number >= min) &&
         (max_open ? number < max : number <= max);
}

std::string NumberRange::ToString() const {
  const bool has_min = min != -kNoLimit, has_max = max != kNoLimit;
  // Limits are whole numbers or short fractions; print 1048576 in full.
  const auto show = [](double limit) {
    return limit == static_cast<double>(static_cast<int64_t>(limit))
               ? absl::StrCat(static_cast<int64_t>(limit))
               : absl::StrCat(limit);
  };
  if (has_min && has_max && !min_open && !max_open) {
    return absl::StrCat(show(min), " to ", show(max));
  }
  std::string text;
  if (has_min) {
    text = absl::StrCat(min_open ? "above " : "at least ", show(min));
  }
  if (has_max) {
    absl::StrAppend(&text, text.empty() ? "" : " and ",
                    max_open ? "below " : "at most ", show(max));
  }
  return text;
}

std::string RuleName(const FieldDescriptor* field) {
  const size_t package = field->file()->package().size();
  return field->full_name().substr(package == 0 ? 0 : package + 1);
}

const FieldRule* FindFieldRule(const FieldDescriptor* field) {
  static const auto* const by_name = [] {
    auto* map = new absl::flat_hash_map<std::string, const FieldRule*>;
    for (const FieldRule& rule : FieldTable()) map->emplace(rule.field, &rule);
    return map;
  }();
  const auto named = [](const FieldDescriptor* wanted) {
    const auto found = by_name->find(RuleName(wanted));
    return found == by_name->end() ? nullptr : found->second;
  };
  // Asked for each field of each job: a job's own are found without its name.
  static const auto* const of_jobs = [&] {
    auto* map =
        new absl::flat_hash_map<const FieldDescriptor*, const FieldRule*>;
    const auto* file = proto::Job::descriptor()->file();
    for (int i = 0; i < file->message_type_count(); ++i) {
      const Descriptor* message = file->message_type(i);
      for (int j = 0; j < message->field_count(); ++j) {
        map->emplace(message->field(j), named(message->field(j)));
      }
    }
    return map;
  }();
  const auto found = of_jobs->find(field);
  return found == of_jobs->end() ? named(field) : found->second;
}

void FillDefaults(Message* message) {
  const Descriptor* descriptor = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const FieldRule* rule = FindFieldRule(field);
    CARACAL_CHECK(rule != nullptr) << RuleName(field) << ": no field rule";
    const bool set = HasField(*message, field);
    if (!IsMessage(field)) {
      if (!set && rule->default_value != nullptr) {
        SetDefault(*rule, field, message);
      }
    } else if (field->is_repeated()) {
      for (int j = 0; j < reflection->FieldSize(*message, field); ++j) {
        FillDefaults(reflection->MutableRepeatedMessage(message, field, j));
      }
    } else if (set || rule->default_value != nullptr) {
      FillDefaults(reflection->MutableMessage(message, field));
    }
  }
}

void ClearDefaults(Message* message) {
  const Descriptor* descriptor = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const FieldRule* rule = FindFieldRule(field);
    CARACAL_CHECK(rule != nullptr) << RuleName(field) << ": no field rule";
    if (!HasField(*message, field)) continue;
    if (!IsMessage(field)) {
      if (rule->default_value != nullptr &&
          EqualsDefault(*message, field, *rule)) {
        reflection->ClearField(message, field);
      }
    } else if (field->is_repeated()) {
      for (int j = 0; j < reflection->FieldSize(*message, field); ++j) {
        ClearDefaults(reflection->MutableRepeatedMessage(message, field, j));
      }
    } else {
      ClearDefaults(reflection->MutableMessage(message, field));
    }
  }
}

void CheckFieldRules(const Message& message, absl::string_view path,
                     std::vector<Problem>* problems) {
  const Descriptor* descriptor = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const FieldRule* rule = FindFieldRule(field);
    CARACAL_CHECK(rule != nullptr) << RuleName(field) << ": no field rule";
    if (!HasField(message, field)) continue;
    const std::string name = JoinField(path, field->name());
    const int size =
        field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int j = 0; j < size; ++j) {
      const int index = field->is_repeated() ? j : -1;
      const std::string here = index < 0 ? name : FieldAt(name, index);
      if (!IsMessage(field)) {
        CheckValue(message, field, index, *rule, here, problems);
      } else if (index >= 0) {
        CheckFieldRules(reflection->GetRepeatedMessage(message, field, index),
                        here, problems);
      } else {
        CheckFieldRules(reflection->GetMessage(message, field), here, problems);
      }
    }
  }
}

}  // namespace caracal
