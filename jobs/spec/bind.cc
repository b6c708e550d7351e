#include "jobs/spec/bind.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "jobs/spec/closest_name.h"
#include "jobs/spec/set_field.h"

namespace caracal {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::OneofDescriptor;
using ::google::protobuf::Reflection;

const char* KindName(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kBlock:
      return "a block {...}";
    case Value::Kind::kList:
      return "a list [...]";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kWord:
      return "a plain value";
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kUnread:
      break;  // never bound
  }
  return "";
}

const FieldDescriptor* FindField(const Descriptor* descriptor,
                                 const std::string& name) {
  const FieldDescriptor* field = descriptor->FindFieldByName(name);
  return field != nullptr ? field : descriptor->FindFieldByCamelcaseName(name);
}

using Members = std::deque<const Member*>;

class Binder {
 public:
  Binder(absl::string_view file, FieldLocations* locations,
         std::vector<Problem>* problems)
      : file_(file), locations_(*locations), problems_(*problems) {}

  // Within an unclosed block every block is in doubt, for what ends it may be
  // meant for another one: it seems to end before the first member that only a
  // block around it has. From there on its members are not bound, but returned.
  Members BindMembers(const Value& block, absl::string_view path,
                      Message* message) {
    around_.push_back(message->GetDescriptor());
    unclosed_ += block.unclosed;
    Members left = BindUntilEnd(block, path, message);
    unclosed_ -= block.unclosed;
    around_.pop_back();
    return left;
  }

 private:
  Members BindUntilEnd(const Value& block, absl::string_view path,
                       Message* message) {
    const Descriptor* descriptor = message->GetDescriptor();
    std::set<std::string> seen;
    Members left;
    for (const Member& member : block.members) left.push_back(&member);
    while (!left.empty()) {
      const Member& member = *left.front();
      const FieldDescriptor* field = FindField(descriptor, member.name);
      if (field == nullptr && unclosed_ > 0 && IsAround(member.name)) break;
      left.pop_front();
      if (member.value.kind == Value::Kind::kNull) continue;
      const std::string name = JoinField(path, member.name);
      if (field == nullptr) {
        Refuse(name, member,
               absl::StrCat("there is no such field; ",
                            SuggestField(member.name, FieldNames(descriptor))));
        TakeOver(AfterItsEnd(member.value), &left);
        continue;
      }
      if (member.value.kind == Value::Kind::kUnread) continue;
      const std::string field_path = JoinField(path, field->name());
      if (field->is_repeated()) {
        TakeOver(BindRepeated(member, field, field_path, message), &left);
        continue;
      }
      if (!seen.insert(field->name()).second) {
        Refuse(field_path, member, "given twice in the same block");
        TakeOver(AfterItsEnd(member.value), &left);
        continue;
      }
      if (const OneofDescriptor* group = field->real_containing_oneof()) {
        const FieldDescriptor* other =
            message->GetReflection()->GetOneofFieldDescriptor(*message, group);
        if (other != nullptr && other != field) {
          Refuse(field_path, member,
                 absl::StrCat("cannot stand beside ", other->name(),
                              "; give one of the two"));
          TakeOver(AfterItsEnd(member.value), &left);
          continue;
        }
      }
      TakeOver(BindOne(member.value, field, field_path, message), &left);
    }
    return left;
  }

  // What a block returned stands after it in the block around it.
  static void TakeOver(const Members& returned, Members* left) {
    left->insert(left->begin(), returned.begin(), returned.end());
  }

  // Of a value that is not bound: what BindMembers() would return, as the end
  // that is missing may be its own.
  Members AfterItsEnd(const Value& value) const {
    if (value.kind == Value::Kind::kList) {
      return value.items.empty() ? Members() : AfterItsEnd(value.items.back());
    }
    Members after;
    if (!value.unclosed) return after;
    for (const Member& member : value.members) {
      if (!after.empty() || IsAround(member.name)) {
        after.push_back(&member);
      } else {
        after = AfterItsEnd(member.value);
      }
    }
    return after;
  }

  bool IsAround(const std::string& name) const {
    return std::any_of(around_.begin(), around_.end(),
                       [&](const Descriptor* descriptor) {
                         return FindField(descriptor, name) != nullptr;
                       });
  }

  // `at`: a member or a value.
  template <typename At>
  void Refuse(const std::string& path, const At& at, std::string message) {
    problems_.push_back({path, std::move(message), Where(at)});
  }

  template <typename At>
  std::string Where(const At& at) const {
    return LocationIn(file_, at.line, at.column);
  }

  // Returns what BindMembers() does, as does BindOne().
  Members BindRepeated(const Member& member, const FieldDescriptor* field,
                       const std::string& path, Message* message) {
    const Reflection* reflection = message->GetReflection();
    locations_.emplace(path, Where(member));
    const auto next = [&] {
      return FieldAt(path, reflection->FieldSize(*message, field));
    };
    if (member.value.kind != Value::Kind::kList) {
      return BindOne(member.value, field, next(), message);
    }
    Members left;
    for (const Value& item : member.value.items) {
      const Members more = BindOne(item, field, next(), message);
      left.insert(left.end(), more.begin(), more.end());
    }
    return left;
  }

  // Sets a singular field, or appends to a repeated one.
  Members BindOne(const Value& value, const FieldDescriptor* field,
                  const std::string& path, Message* message) {
    const bool is_message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    locations_[path] = Where(value);
    if (is_message != (value.kind == Value::Kind::kBlock) ||
        value.kind == Value::Kind::kList || value.kind == Value::Kind::kNull) {
      Refuse(path, value,
             absl::StrCat("expected ",
                          is_message ? "a block {...}" : "a single value",
                          ", found ", KindName(value.kind)));
      return AfterItsEnd(value);
    }
    const Reflection* reflection = message->GetReflection();
    if (is_message) {
      return BindMembers(value, path,
                         field->is_repeated()
                             ? reflection->AddMessage(message, field)
                             : reflection->MutableMessage(message, field));
    }
    const absl::Status status = SetScalarField(
        {value.text, value.kind == Value::Kind::kString}, field, -1, message);
    if (!status.ok()) {
      Refuse(path, value, std::string(status.message()));
    }
    return {};
  }

  const std::string file_;
  FieldLocations& locations_;
  std::vector<Problem>& problems_;
  std::vector<const Descriptor*> around_;  // of the blocks that are bound
  int unclosed_ = 0;                       // of them
};

}  // namespace

std::string JoinField(absl::string_view path, absl::string_view name) {
  return path.empty() ? std::string(name) : absl::StrCat(path, ".", name);
}

std::string FieldAt(absl::string_view path, int index) {
  return absl::StrCat(path, "[", index, "]");
}

void BindValue(const Value& block, absl::string_view path,
               absl::string_view file, Message* message,
               FieldLocations* locations, std::vector<Problem>* problems) {
  Binder(file, locations, problems).BindMembers(block, path, message);
}

}  // namespace caracal
