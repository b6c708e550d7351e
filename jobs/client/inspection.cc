#include "jobs/client/inspection.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "eval/report/numbers.h"
#include "eval/report/text.h"
#include "jobs/client/fact_list.h"
#include "jobs/client/table.h"

namespace caracal {
namespace {

constexpr int kNameColumns = 14;

// Tensors whose names differ in one number, with equal shape and type.
struct TensorGroup {
  std::string before, after;     // the name around the number
  std::vector<int64_t> numbers;  // empty: a name without one
  InspectedTensor one;
  uint64_t bytes = 0;
};

// Cuts "model.layers.12.mlp" at its first number that is a part by itself.
bool SplitAtNumber(const std::string& name, std::string* before,
                   int64_t* number, std::string* after) {
  size_t begin = 0;
  while (begin <= name.size()) {
    const size_t end = std::min(name.find_first_of("./", begin), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (!part.empty() && part.size() < 10 &&
        part.find_first_not_of("0123456789") == part.npos &&
        absl::SimpleAtoi(part, number)) {
      *before = name.substr(0, begin);
      *after = name.substr(end);
      return true;
    }
    begin = end + 1;
  }
  return false;
}

std::vector<TensorGroup> GroupTensors(
    const std::vector<InspectedTensor>& tensors) {
  std::vector<TensorGroup> groups;
  std::map<std::string, size_t> found;  // by all that must agree
  for (const InspectedTensor& tensor : tensors) {
    std::string before, after;
    int64_t number = 0;
    const bool numbered = SplitAtNumber(tensor.name, &before, &number, &after);
    const std::string key =
        absl::StrCat(numbered ? absl::StrCat(before, "\n", after) : tensor.name,
                     "\n", absl::StrJoin(tensor.shape, ","), "\n", tensor.type);
    const auto [at, is_new] = found.emplace(key, groups.size());
    if (is_new) groups.push_back({before, after, {}, tensor, 0});
    TensorGroup& group = groups[at->second];
    if (numbered) group.numbers.push_back(number);
    group.bytes += tensor.bytes;
  }
  return groups;
}

// "0-3,5"; files may list layers in any order.
std::string Ranges(std::vector<int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::vector<std::string> parts;
  for (size_t i = 0; i < numbers.size();) {
    size_t j = i;
    while (j + 1 < numbers.size() && numbers[j + 1] == numbers[j] + 1) ++j;
    parts.push_back(i == j ? absl::StrCat(numbers[i])
                           : absl::StrCat(numbers[i], "-", numbers[j]));
    i = j + 1;
  }
  return absl::StrJoin(parts, ",");
}

std::string GroupName(const TensorGroup& group) {
  if (group.numbers.size() < 2) return group.one.name;
  return absl::StrCat(group.before, "{", Ranges(group.numbers), "}",
                      group.after);
}

std::string TensorTable(const Inspection& inspection, const Console& console) {
  if (inspection.tensors.empty()) return "";
  uint64_t bytes = 0;
  for (const InspectedTensor& tensor : inspection.tensors) {
    bytes += tensor.bytes;
  }
  const size_t count = inspection.tensors.size();
  std::string out = absl::StrCat(
      "\n",
      Styled(absl::StrCat(Count(count), count == 1 ? " tensor" : " tensors",
                          ", ", Bytes(bytes)),
             Style::kBold, console.StyledOut()),
      "\n");
  using Align = Table::Align;
  Table table({{"name", Align::kLeft, true},
               {"shape", Align::kLeft},
               {"type", Align::kLeft},
               {"size", Align::kRight}});
  for (const TensorGroup& group : GroupTensors(inspection.tensors)) {
    table.AddRow({Printable(GroupName(group)),
                  absl::StrCat("[", absl::StrJoin(group.one.shape, ", "), "]"),
                  group.one.type, Bytes(group.bytes)});
  }
  return out + table.ToString(console, 2);
}

}  // namespace

void Inspection::Add(std::string name, std::string text,
                     nlohmann::ordered_json value) {
  facts.push_back({std::move(name), std::move(text), std::move(value)});
}

void Inspection::Add(const std::string& name, const std::string& text) {
  Add(name, text, text);
}

std::string InspectionText(const Inspection& inspection,
                           const Console& console) {
  std::string out = absl::StrCat(
      Styled(Printable(inspection.path), Style::kBold, console.StyledOut()),
      ": ", inspection.format, "\n");
  FactList facts;
  for (const Inspection::Fact& fact : inspection.facts) {
    facts.Add(fact.name, fact.text);
  }
  out += facts.ToString(console, 2, kNameColumns);
  if (!inspection.metadata.empty()) {
    absl::StrAppend(&out, "\n",
                    Styled("Metadata", Style::kBold, console.StyledOut()),
                    "\n");
    Table table({{"name"}, {"value", Table::Align::kLeft, true}});
    for (const auto& [name, value] : inspection.metadata) {
      table.AddRow({Printable(name), Printable(value)});
    }
    out += table.ToString(console, 2);
  }
  return out + TensorTable(inspection, console);
}

std::string InspectionJson(const Inspection& inspection) {
  using Json = nlohmann::ordered_json;
  Json out;
  out["path"] = inspection.path;
  out["format"] = inspection.format;
  for (const Inspection::Fact& fact : inspection.facts) {
    if (fact.value.is_null()) continue;
    out[absl::StrReplaceAll(fact.name, {{" ", "_"}})] = fact.value;
  }
  if (!inspection.metadata.empty()) {
    Json& metadata = out["metadata"] = Json::object();
    for (const auto& [name, value] : inspection.metadata) {
      metadata[name] = value;
    }
  }
  Json& tensors = out["tensors"] = Json::array();
  for (const InspectedTensor& tensor : inspection.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"shape", tensor.shape},
                       {"type", tensor.type},
                       {"bytes", tensor.bytes}});
  }
  if (!inspection.problem.ok()) {
    out["problem"] = std::string(inspection.problem.message());
  }
  // Paths may be any bytes; what is not UTF-8 is replaced.
  return out.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace caracal
