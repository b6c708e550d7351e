#include "jobs/spec/field_rules.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

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

// What each field of each job is asked for.
struct KnownField {
  const FieldRule* rule = nullptr;
  // A message with nothing but the field's default. Null: it has none, or is a
  // message itself.
  std::unique_ptr<const Message> standard = nullptr;
};

// Tables are ours: a default that does not fit its field is a bug.
std::unique_ptr<const Message> StandardOf(const FieldRule& rule,
                                          const FieldDescriptor* field) {
  if (rule.default_value == nullptr || IsMessage(field)) return nullptr;
  std::unique_ptr<Message> out(
      google::protobuf::MessageFactory::generated_factory()
          ->GetPrototype(field->containing_type())
          ->New());
  const bool quoted = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  for (const std::string& word : SplitWords(rule.default_value)) {
    CARACAL_CHECK_OK(SetScalarField({word, quoted}, field, -1, out.get()));
  }
  return out;
}

using KnownFields = absl::flat_hash_map<const FieldDescriptor*, KnownField>;

void AddFields(const Descriptor* message, KnownFields* known) {
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    const std::string name = RuleName(field);
    const FieldRule* const rule =
        std::find_if(FieldTable().begin(), FieldTable().end(),
                     [&](const FieldRule& row) { return row.field == name; });
    if (rule == FieldTable().end()) continue;
    known->emplace(field, KnownField{rule, StandardOf(*rule, field)});
  }
  for (int i = 0; i < message->nested_type_count(); ++i) {
    AddFields(message->nested_type(i), known);
  }
}

// Null for a field that is no job's, or has no row.
const KnownField* FindField(const FieldDescriptor* field) {
  static const auto* const known = [] {
    auto* fields = new KnownFields;
    const auto* file = proto::Job::descriptor()->file();
    for (int i = 0; i < file->message_type_count(); ++i) {
      AddFields(file->message_type(i), fields);
    }
    return fields;
  }();
  const auto found = known->find(field);
  return found == known->end() ? nullptr : &found->second;
}

const KnownField& FieldOf(const FieldDescriptor* field) {
  const KnownField* known = FindField(field);
  CARACAL_CHECK(known != nullptr) << RuleName(field) << ": no field rule";
  return *known;
}

bool HasField(const Message& message, const FieldDescriptor* field) {
  const Reflection* reflection = message.GetReflection();
  return field->is_repeated() ? reflection->FieldSize(message, field) > 0
                              : reflection->HasField(message, field);
}

bool EqualsDefault(const Message& message, const FieldDescriptor* field,
                   const Message& standard) {
  const Reflection* reflection = message.GetReflection();
  if (!field->is_repeated()) {
    return ScalarFieldText(message, field, -1) ==
           ScalarFieldText(standard, field, -1);
  }
  const int size = reflection->FieldSize(message, field);
  if (size != reflection->FieldSize(standard, field)) return false;
  for (int i = 0; i < size; ++i) {
    if (ScalarFieldText(message, field, i) !=
        ScalarFieldText(standard, field, i)) {
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

// Where a value stands, written out only when there is something to say of it.
struct FieldPath {
  absl::string_view start = {};            // of what has no parent
  const FieldPath* parent = nullptr;       // of a field
  const FieldDescriptor* field = nullptr;  // likewise
  int index = -1;                          // >= 0: of an element

  std::string ToString() const {
    if (parent == nullptr) return std::string(start);
    const std::string name = JoinField(parent->ToString(), field->name());
    return index < 0 ? name : FieldAt(name, index);
  }
};

bool IsChoice(absl::string_view choices, absl::string_view text) {
  for (const absl::string_view choice :
       absl::StrSplit(choices, ' ', absl::SkipEmpty())) {
    if (choice == text) return true;
  }
  return false;
}

void CheckValue(const Message& message, const FieldRule& rule,
                const FieldPath& path, std::vector<Problem>* problems) {
  const FieldDescriptor* const field = path.field;
  const auto text = [&] { return ScalarFieldText(message, field, path.index); };
  const auto refuse = [&](std::string what) {
    problems->push_back({path.ToString(), std::move(what), ""});
  };
  const bool number = field->cpp_type() == FieldDescriptor::CPPTYPE_INT32 ||
                      field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE;
  if (number && !rule.range.Contains(NumberOf(message, field, path.index))) {
    refuse(absl::StrCat("is ", text(), ", must be ", rule.range.ToString()));
  }
  if (rule.folder_name && !IsFolderName(text())) {
    refuse(absl::StrCat("is '", absl::Utf8SafeCEscape(text()),
                        "', but a folder gets this name: expected 1 to ",
                        kMaxFolderName,
                        " letters, digits and ._-+= with neither a dot nor a "
                        "dash first"));
  }
  if (rule.choices != nullptr && !IsChoice(rule.choices, text())) {
    refuse(absl::StrCat("there is no '", text(), "' here; ",
                        SuggestChoice(text(), SplitWords(rule.choices))));
  }
}

void CheckFields(const Message& message, const FieldPath& path,
                 std::vector<Problem>* problems) {
  const Descriptor* descriptor = message.GetDescriptor();
  const Reflection* reflection = message.GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const FieldRule& rule = *FieldOf(field).rule;
    if (!HasField(message, field)) continue;
    const int size =
        field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int j = 0; j < size; ++j) {
      const FieldPath here = {
          .parent = &path,
          .field = field,
          .index = field->is_repeated() ? j : -1,
      };
      if (!IsMessage(field)) {
        CheckValue(message, rule, here, problems);
      } else if (field->is_repeated()) {
        CheckFields(reflection->GetRepeatedMessage(message, field, j), here,
                    problems);
      } else {
        CheckFields(reflection->GetMessage(message, field), here, problems);
      }
    }
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
  const KnownField* known = FindField(field);
  return known == nullptr ? nullptr : known->rule;
}

void FillDefaults(Message* message) {
  const Descriptor* descriptor = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const KnownField& known = FieldOf(field);
    const bool set = HasField(*message, field);
    if (!IsMessage(field)) {
      if (!set && known.standard != nullptr) {
        message->MergeFrom(*known.standard);
      }
    } else if (field->is_repeated()) {
      for (int j = 0; j < reflection->FieldSize(*message, field); ++j) {
        FillDefaults(reflection->MutableRepeatedMessage(message, field, j));
      }
    } else if (set || known.rule->default_value != nullptr) {
      FillDefaults(reflection->MutableMessage(message, field));
    }
  }
}

void ClearDefaults(Message* message) {
  const Descriptor* descriptor = message->GetDescriptor();
  const Reflection* reflection = message->GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    const KnownField& known = FieldOf(field);
    if (!HasField(*message, field)) continue;
    if (!IsMessage(field)) {
      if (known.standard != nullptr &&
          EqualsDefault(*message, field, *known.standard)) {
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
  CheckFields(message, FieldPath{.start = path}, problems);
}

}  // namespace caracal
