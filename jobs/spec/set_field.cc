#include "jobs/spec/set_field.h"

#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/base/utf8.h"
#include "jobs/spec/closest_name.h"

namespace caracal {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::EnumDescriptor;
using ::google::protobuf::EnumValueDescriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

std::string Shown(const ScalarText& value) {
  return value.quoted ? absl::StrCat("\"", value.text, "\"")
                      : absl::StrCat("'", value.text, "'");
}

// Whole numbers, also as 0x10, 1e3 and 4.0 (JSON writers make those).
template <typename T>
bool ParseWhole(const std::string& text, T* out) {
  if (absl::SimpleAtoi(text, out)) return true;
  if (absl::StartsWithIgnoreCase(text, "0x")) {
    uint64_t number;
    if (!absl::SimpleHexAtoi(text, &number) ||
        number > static_cast<uint64_t>(std::numeric_limits<T>::max())) {
      return false;
    }
    *out = static_cast<T>(number);
    return true;
  }
  double number;
  if (text.find_first_of(".eE") == std::string::npos ||
      !absl::SimpleAtod(text, &number) || number != std::floor(number) ||
      std::abs(number) > 1e15 ||
      number < static_cast<double>(std::numeric_limits<T>::min()) ||
      number > static_cast<double>(std::numeric_limits<T>::max())) {
    return false;
  }
  *out = static_cast<T>(number);
  return true;
}

template <typename T>
absl::Status WantWhole(const ScalarText& value, T* out) {
  if (!value.quoted && ParseWhole(value.text, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "expected a whole number from ", std::numeric_limits<T>::min(), " to ",
      std::numeric_limits<T>::max(), ", found ", Shown(value)));
}

absl::Status WantNumber(const ScalarText& value, double* out) {
  std::string text = value.text;
  if (!value.quoted && absl::EndsWithIgnoreCase(text, "f")) text.pop_back();
  if (!value.quoted && absl::SimpleAtod(text, out) && std::isfinite(*out)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("expected a finite number, found ", Shown(value)));
}

absl::StatusOr<const EnumValueDescriptor*> WantEnum(
    const ScalarText& value, const EnumDescriptor* descriptor) {
  for (int i = 0; i < descriptor->value_count(); ++i) {
    const EnumValueDescriptor* candidate = descriptor->value(i);
    if (!absl::EndsWith(candidate->name(), "_UNSPECIFIED") &&
        absl::EqualsIgnoreCase(candidate->name(), value.text)) {
      return candidate;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("there is no ", Shown(value), " here; ",
                   SuggestChoice(value.text, EnumNames(descriptor))));
}

// Calls Set, Add or SetRepeated of reflection.
template <typename T, typename Set, typename Add, typename SetAt>
void Put(const Reflection* reflection, Message* message,
         const FieldDescriptor* field, int index, T value, Set set, Add add,
         SetAt set_at) {
  if (!field->is_repeated()) {
    (reflection->*set)(message, field, value);
  } else if (index < 0) {
    (reflection->*add)(message, field, value);
  } else {
    (reflection->*set_at)(message, field, index, value);
  }
}

#define CARACAL_PUT(Type, value)                                        \
  Put(reflection, message, field, index, value, &Reflection::Set##Type, \
      &Reflection::Add##Type, &Reflection::SetRepeated##Type)

}  // namespace

absl::Status SetScalarField(const ScalarText& value,
                            const FieldDescriptor* field, int index,
                            Message* message) {
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      RETURN_IF_ERROR(WantWhole(value, &number));
      CARACAL_PUT(Int32, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      uint64_t number = 0;
      RETURN_IF_ERROR(WantWhole(value, &number));
      CARACAL_PUT(UInt64, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      RETURN_IF_ERROR(WantNumber(value, &number));
      CARACAL_PUT(Double, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const bool yes = value.text == "true";
      if (value.quoted || (!yes && value.text != "false")) {
        return absl::InvalidArgumentError(
            absl::StrCat("expected true or false, found ", Shown(value)));
      }
      CARACAL_PUT(Bool, yes);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_ENUM: {
      ASSIGN_OR_RETURN(const EnumValueDescriptor* found,
                       WantEnum(value, field->enum_type()));
      CARACAL_PUT(Enum, found);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      if (!value.quoted) {
        return absl::InvalidArgumentError(
            absl::StrCat("expected a string in quotes, found ", Shown(value)));
      }
      if (!IsValidUtf8(value.text)) {
        return absl::InvalidArgumentError("the string is not valid UTF-8");
      }
      CARACAL_PUT(String, value.text);
      return absl::OkStatus();
    }
    default:
      CARACAL_CHECK(false) << field->full_name()
                           << ": a type no job field has had so far";
      return absl::InternalError("unreachable");
  }
}

#undef CARACAL_PUT

std::vector<std::string> EnumNames(const EnumDescriptor* descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor->value_count(); ++i) {
    const std::string& name = descriptor->value(i)->name();
    if (absl::EndsWith(name, "_UNSPECIFIED")) continue;
    names.push_back(absl::AsciiStrToLower(name));
  }
  return names;
}

std::vector<std::string> FieldNames(const Descriptor* descriptor) {
  std::vector<std::string> names;
  for (int i = 0; i < descriptor->field_count(); ++i) {
    names.push_back(descriptor->field(i)->name());
  }
  return names;
}

std::string ScalarFieldText(const Message& message,
                            const FieldDescriptor* field, int index) {
  const Reflection* r = message.GetReflection();
  const bool at = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(at ? r->GetRepeatedInt32(message, field, index)
                             : r->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(at ? r->GetRepeatedUInt64(message, field, index)
                             : r->GetUInt64(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrCat(at ? r->GetRepeatedDouble(message, field, index)
                             : r->GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return (at ? r->GetRepeatedBool(message, field, index)
                 : r->GetBool(message, field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return absl::AsciiStrToLower(
          (at ? r->GetRepeatedEnum(message, field, index)
              : r->GetEnum(message, field))
              ->name());
    case FieldDescriptor::CPPTYPE_STRING:
      return at ? r->GetRepeatedString(message, field, index)
                : r->GetString(message, field);
    default:
      CARACAL_CHECK(false) << field->full_name() << ": not a scalar";
      return "";
  }
}

}  // namespace caracal
