#include "jobs/spec/override.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/closest_name.h"
#include "jobs/spec/presets.h"
#include "jobs/spec/set_field.h"
#include "jobs/spec/text_reader.h"

namespace caracal {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::OneofDescriptor;
using ::google::protobuf::Reflection;

bool IsMessage(const FieldDescriptor* field) {
  return field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

// A place in a job: a field of a message within it, or an element of one.
struct Place {
  Message* message = nullptr;
  const FieldDescriptor* field = nullptr;
  int index = -1;    // of the element; -1: the field itself
  std::string path;  // as in problems: "stages[0].transfer.lr"
};

class Override {
 public:
  Override(absl::string_view text, FieldLocations* locations,
           std::vector<Problem>* problems)
      : where_(absl::StrCat("--set ", text)),
        locations_(*locations),
        problems_(*problems) {}

  // Follows the path; false after reporting a problem.
  bool Find(absl::string_view path, Message* job, Place* place) {
    // "a[0].b" and "a.0.b" are the same path.
    const std::vector<std::string> parts =
        absl::StrSplit(absl::StrReplaceAll(path, {{"[", "."}, {"]", ""}}), '.');
    place->message = job;
    for (size_t i = 0; i < parts.size(); ++i) {
      int index;
      if (place->field != nullptr && absl::SimpleAtoi(parts[i], &index)) {
        if (!TakeElement(index, place)) return false;
        continue;
      }
      if (place->field != nullptr && !Enter(place)) return false;
      place->field = place->message->GetDescriptor()->FindFieldByName(parts[i]);
      if (place->field == nullptr) {
        return Refuse(
            JoinField(place->path, parts[i]),
            absl::StrCat(
                "there is no such field; ",
                SuggestField(parts[i],
                             FieldNames(place->message->GetDescriptor()))));
      }
      place->path = JoinField(place->path, parts[i]);
      place->index = -1;
      if (!CheckStageKind(*place)) return false;
    }
    return true;
  }

  void Set(const std::string& value, bool append, const Place& place) {
    locations_[place.path] = where_;
    const FieldDescriptor* field = place.field;
    const bool whole_list = field->is_repeated() && place.index < 0;
    if (append && !whole_list) {
      Refuse(place.path, "+= only goes with lists");
    } else if (IsMessage(field)) {
      SetBlock(value, append, place);
    } else if (whole_list) {
      SetList(value, append, place);
    } else {
      SetScalar(value, place.index, place, place.message);
    }
  }

 private:
  bool Refuse(const std::string& field, std::string message) {
    problems_.push_back({field, std::move(message), where_});
    return false;
  }

  bool TakeElement(int index, Place* place) {
    if (!place->field->is_repeated() || place->index >= 0) {
      return Refuse(place->path, "is not a list, so it has no elements");
    }
    const int size = place->message->GetReflection()->FieldSize(*place->message,
                                                                place->field);
    // One past the end appends.
    if (index < 0 || index > size) {
      return Refuse(place->path,
                    absl::StrCat("has ", size, " elements, so there is no ",
                                 index, " (the first is 0)"));
    }
    place->index = index;
    place->path = FieldAt(place->path, index);
    return true;
  }

  // From a field to the message in it, created where there is none.
  bool Enter(Place* place) {
    if (!IsMessage(place->field)) {
      return Refuse(place->path, "is a single value and has no fields");
    }
    const Reflection* reflection = place->message->GetReflection();
    if (!place->field->is_repeated()) {
      place->message = reflection->MutableMessage(place->message, place->field);
      return true;
    }
    if (place->index < 0) {
      return Refuse(place->path,
                    absl::StrCat("is a list; say which element, as in ",
                                 FieldAt(place->path, 0)));
    }
    const int size = reflection->FieldSize(*place->message, place->field);
    place->message = place->index == size
                         ? reflection->AddMessage(place->message, place->field)
                         : reflection->MutableRepeatedMessage(
                               place->message, place->field, place->index);
    return true;
  }

  // A stage does not turn into one of another kind by a typing error.
  bool CheckStageKind(const Place& place) {
    const OneofDescriptor* group = place.field->real_containing_oneof();
    if (group == nullptr ||
        place.message->GetDescriptor() != proto::Stage::descriptor()) {
      return true;
    }
    const FieldDescriptor* set =
        place.message->GetReflection()->GetOneofFieldDescriptor(*place.message,
                                                                group);
    if (set == nullptr || set == place.field) return true;
    return Refuse(place.path,
                  absl::StrCat("this stage is a ", set->name(), " stage"));
  }

  void SetScalar(const std::string& value, int index, const Place& place,
                 Message* message) {
    const bool quoted =
        place.field->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    const Reflection* reflection = message->GetReflection();
    if (index >= 0 && index == reflection->FieldSize(*message, place.field)) {
      index = -1;
    }
    const absl::Status status =
        SetScalarField({value, quoted}, place.field, index, message);
    if (!status.ok()) Refuse(place.path, std::string(status.message()));
  }

  void SetList(const std::string& value, bool append, const Place& place) {
    if (absl::StartsWith(absl::StripLeadingAsciiWhitespace(value), "[")) {
      Refuse(place.path,
             absl::StrCat("lists are given here without brackets and quotes, "
                          "as in ",
                          place.path, "=a,b; += adds to the list"));
      return;
    }
    // Into a copy first, so that a bad element leaves the list as it was.
    std::unique_ptr<Message> copy(place.message->New());
    copy->CopyFrom(*place.message);
    if (!append) copy->GetReflection()->ClearField(copy.get(), place.field);
    const size_t before = problems_.size();
    for (absl::string_view item :
         absl::StrSplit(value, ',', absl::SkipWhitespace())) {
      SetScalar(std::string(absl::StripAsciiWhitespace(item)), -1, place,
                copy.get());
    }
    if (problems_.size() == before) place.message->CopyFrom(*copy);
  }

  void SetBlock(const std::string& value, bool append, const Place& place) {
    absl::string_view text = absl::StripAsciiWhitespace(value);
    if (!absl::ConsumePrefix(&text, "{") || !absl::ConsumeSuffix(&text, "}")) {
      Refuse(place.path,
             absl::StrCat(
                 "is a block: give one of its fields (",
                 absl::StrJoin(FieldNames(place.field->message_type()), ", "),
                 "), or all of it as {...}"));
      return;
    }
    ParsedText block = ReadTextFormat(text);
    for (SyntaxFault& fault : block.faults) {
      Refuse(place.path, std::move(fault.message));
    }
    if (!block.faults.empty()) return;
    const Reflection* reflection = place.message->GetReflection();
    Message* target;
    if (!place.field->is_repeated()) {
      target = reflection->MutableMessage(place.message, place.field);
    } else if (place.index >= 0 &&
               place.index <
                   reflection->FieldSize(*place.message, place.field)) {
      target = reflection->MutableRepeatedMessage(place.message, place.field,
                                                  place.index);
    } else {
      if (!append && place.index < 0) {
        reflection->ClearField(place.message, place.field);
      }
      target = reflection->AddMessage(place.message, place.field);
    }
    target->Clear();
    DropLines(&block.root);
    BindValue(block.root, place.path, where_, target, &locations_, &problems_);
  }

  // Lines of a command-line argument say nothing.
  static void DropLines(Value* value) {
    value->line = 0;
    for (Member& member : value->members) {
      member.line = 0;
      DropLines(&member.value);
    }
    for (Value& item : value->items) DropLines(&item);
  }

  const std::string where_;
  FieldLocations& locations_;
  std::vector<Problem>& problems_;
};

// Of a path or a whole override.
bool IsOfStages(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  return absl::ConsumePrefix(&text, "stages") &&
         (text.empty() || absl::StrContains(" \t.[+=", text.substr(0, 1)));
}

}  // namespace

void ApplyOverride(absl::string_view text, proto::Job* job,
                   FieldLocations* locations, std::vector<Problem>* problems) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    problems->push_back({"", "expected FIELD=VALUE, as in attention.window=64",
                         absl::StrCat("--set ", text)});
    return;
  }
  absl::string_view path = text.substr(0, equals);
  const bool append = absl::ConsumeSuffix(&path, "+");
  const std::string value(text.substr(equals + 1));
  path = absl::StripAsciiWhitespace(path);
  if (IsOfStages(path)) ExpandPreset(job);
  Override setter(text, locations, problems);
  Place place;
  if (setter.Find(path, job, &place)) setter.Set(value, append, place);
}

void ApplyOverrides(const std::vector<std::string>& texts, proto::Job* job,
                    FieldLocations* locations, std::vector<Problem>* problems) {
  for (const bool stages : {false, true}) {
    for (const std::string& text : texts) {
      if (IsOfStages(text) != stages) continue;
      ApplyOverride(text, job, locations, problems);
    }
  }
}

}  // namespace caracal
