#include "jobs/spec/slurm_fields.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/layout.h"
#include "jobs/spec/set_field.h"

namespace caracal {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Reflection;

constexpr size_t kLongest = 256;  // characters of a value
constexpr absl::Duration kLongestTime = absl::Hours(24 * 3650);

bool IsOneOf(char c, absl::string_view characters) {
  return characters.find(c) != characters.npos;
}

// A letter, a digit or _ first, then some of `more`, too.
bool IsWord(absl::string_view text, absl::string_view more) {
  return !text.empty() && !IsOneOf(text[0], more) &&
         std::all_of(text.begin(), text.end(), [more](char c) {
           return absl::ascii_isalnum(c) || c == '_' || IsOneOf(c, more);
         });
}

bool IsName(absl::string_view text) { return IsWord(text, "-.@+"); }

bool IsDigits(absl::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

bool IsNames(absl::string_view text) {
  const std::vector<absl::string_view> names = absl::StrSplit(text, ',');
  return std::all_of(names.begin(), names.end(), IsName);
}

bool IsTime(absl::string_view text) { return ParseSlurmTime(text).has_value(); }

// A whole number, with a letter for its unit or without.
bool IsAmount(absl::string_view text, absl::string_view units) {
  if (text.empty()) return false;
  if (units.find(text.back()) != units.npos) text.remove_suffix(1);
  return IsDigits(text);
}

bool IsMemory(absl::string_view text) { return IsAmount(text, "KMGTkmgt"); }

// NAME, NAME:COUNT or NAME:TYPE:COUNT. NAME:TYPE is one of a type.
bool IsOneGres(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  return parts.size() <= 3 && std::all_of(parts.begin(), parts.end(), IsName) &&
         (parts.size() < 3 || IsAmount(parts[2], "KMGTPkmgtp"));
}

bool IsGres(absl::string_view text) {
  const std::vector<absl::string_view> items = absl::StrSplit(text, ',');
  return std::all_of(items.begin(), items.end(), IsOneGres);
}

// Some of what joins features means something to a shell: none is ever given
// it. What is joined, and how, is for Slurm to check.
bool IsConstraint(absl::string_view text) {
  if (text.empty() || IsOneOf(text[0], "&|,*)]")) return false;
  const std::vector<absl::string_view> features =
      absl::StrSplit(text, absl::ByAnyChar("&|,*()[]"), absl::SkipEmpty());
  return std::all_of(features.begin(), features.end(),
                     [](absl::string_view f) { return IsWord(f, "-.:"); });
}

struct Format {
  const char* field;
  const char* option;                        // of sbatch
  bool (*is_valid)(absl::string_view) = {};  // null: of a number
  const char* expected = "";
};

constexpr char kName[] =
    "a name of letters, digits and _, behind the first also of -.@+";
constexpr char kNames[] =
    "names of letters, digits and _, behind the first also of -.@+, with "
    "commas "
    "between";

constexpr Format kFormats[] = {
    {"partition", "partition", IsNames, kNames},
    {"account", "account", IsName, kName},
    {"qos", "qos", IsName, kName},
    {"time", "time", IsTime,
     "minutes, minutes:seconds, hours:minutes:seconds, days-hours, "
     "days-hours:minutes or days-hours:minutes:seconds, from 1 minute to 3650 "
     "days"},
    {"memory", "mem", IsMemory,
     "a whole number, with K, M, G or T behind it or without, as in 64G"},
    {"gres", "gres", IsGres,
     "NAME, NAME:COUNT or NAME:TYPE:COUNT with commas between, as in gpu:8"},
    {"constraint", "constraint", IsConstraint,
     "features joined by & | , ( ) [ ] and *, each of letters, digits and _, "
     "behind the first also of -.:"},
    {"reservation", "reservation", IsNames, kNames},
    {"nodes", "nodes"},
    {"ranks_per_node", "ntasks-per-node"},
};

const FieldDescriptor* FieldOf(const Format& format) {
  return proto::Slurm::descriptor()->FindFieldByName(format.field);
}

std::string PathOf(const Format& format) {
  return JoinField("slurm", format.field);
}

void CheckPlaces(const proto::Job& job, std::vector<Problem>* problems) {
  const proto::Slurm& slurm = job.slurm();
  for (const char* field :
       {"parallel", "slurm.nodes", "slurm.ranks_per_node"}) {
    if (IsAboutSame(*problems, field)) return;
  }
  // More than an int holds, of a job that is refused for other reasons.
  const MeshShape mesh = TransferLayout(job);
  const int64_t ranks = int64_t{mesh.data} * mesh.tensor * mesh.layer;
  const std::string have = absl::StrCat(ranks, ranks == 1 ? " rank" : " ranks");
  const int64_t nodes = slurm.nodes(), each = slurm.ranks_per_node();
  if (slurm.has_nodes() && nodes > ranks) {
    problems->push_back({"slurm.nodes",
                         absl::StrCat("is ", nodes, ", but the job has ", have,
                                      ", and each node has at least one"),
                         ""});
  } else if (slurm.has_nodes() && slurm.has_ranks_per_node() &&
             nodes * each < ranks) {
    problems->push_back(
        {"slurm.ranks_per_node",
         absl::StrCat("is ", each, ", which is room for ", nodes * each,
                      " on slurm.nodes ", nodes, ", but the job has ", have),
         ""});
  }
}

}  // namespace

std::optional<absl::Duration> ParseSlurmTime(absl::string_view text) {
  const size_t dash = text.find('-');
  const bool has_days = dash != text.npos;
  std::array<int, 4> parts = {};  // days, hours, minutes, seconds
  if (has_days) {
    if (!IsDigits(text.substr(0, dash)) ||
        !absl::SimpleAtoi(text.substr(0, dash), &parts[0])) {
      return std::nullopt;
    }
    text.remove_prefix(dash + 1);
  }
  const std::vector<absl::string_view> rest = absl::StrSplit(text, ':');
  if (rest.size() > 3) return std::nullopt;
  // What one, two and three numbers begin with.
  const size_t first = has_days || rest.size() == 3 ? 1 : 2;
  for (size_t i = 0; i < rest.size(); ++i) {
    if (!IsDigits(rest[i]) || !absl::SimpleAtoi(rest[i], &parts[first + i])) {
      return std::nullopt;
    }
  }
  const absl::Duration time = absl::Hours(24) * parts[0] +
                              absl::Hours(parts[1]) + absl::Minutes(parts[2]) +
                              absl::Seconds(parts[3]);
  if (time < absl::Minutes(1) || time > kLongestTime) return std::nullopt;
  return time;
}

bool AsksSlurm(const proto::Job& job) {
  return !SbatchOptionsOf(job.slurm()).empty();
}

void CheckSlurm(const proto::Job& expanded, std::vector<Problem>* problems) {
  if (!expanded.has_slurm()) return;
  const proto::Slurm& slurm = expanded.slurm();
  const Reflection* const reflection = slurm.GetReflection();
  for (const Format& format : kFormats) {
    const FieldDescriptor* const field = FieldOf(format);
    if (format.is_valid == nullptr || !reflection->HasField(slurm, field)) {
      continue;
    }
    const std::string value = reflection->GetString(slurm, field);
    if (value.size() > kLongest) {
      problems->push_back(
          {PathOf(format),
           absl::StrCat("has ", value.size(), " characters, expected at most ",
                        kLongest),
           ""});
    } else if (!format.is_valid(value)) {
      problems->push_back({PathOf(format),
                           absl::StrCat("is '", absl::Utf8SafeCEscape(value),
                                        "', expected ", format.expected),
                           ""});
    }
  }
  CheckPlaces(expanded, problems);
}

int RanksOfANode(const proto::Slurm& slurm, int ranks) {
  int nodes = 1;
  if (slurm.has_nodes()) {
    nodes = slurm.nodes();
  } else if (slurm.has_ranks_per_node()) {
    nodes = (ranks + slurm.ranks_per_node() - 1) / slurm.ranks_per_node();
  }
  return std::max(1, ranks / nodes);
}

std::vector<std::string> SbatchOptionsOf(const proto::Slurm& slurm) {
  const Reflection* const reflection = slurm.GetReflection();
  std::vector<std::string> out;
  for (const Format& format : kFormats) {
    const FieldDescriptor* const field = FieldOf(format);
    if (!reflection->HasField(slurm, field)) continue;
    out.push_back(absl::StrCat("--", format.option, "=",
                               ScalarFieldText(slurm, field, -1)));
  }
  return out;
}

}  // namespace caracal
