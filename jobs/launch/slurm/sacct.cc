#include "jobs/launch/slurm/sacct.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "core/base/status.h"

namespace caracal {
namespace {

// In the order of SacctCommand's fields.
enum Field { kNumber, kState, kExit, kSubmit, kName, kFolder, kFields };

bool IsStateWord(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isupper(c) || c == '_';
  });
}

bool IsTime(absl::string_view text) {
  absl::Time ignored;
  return absl::ParseTime("%Y-%m-%d%ET%H:%M:%S", text, &ignored, nullptr);
}

// Of "85:0" the exit status of the script, and the signal that ended it.
bool ParseExit(absl::string_view text, int* status, int* signal) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  return IsSlurmNumber(parts.first) && IsSlurmNumber(parts.second) &&
         absl::SimpleAtoi(parts.first, status) && *status <= 255 &&
         absl::SimpleAtoi(parts.second, signal);
}

// "TIMEOUT", "CANCELLED by 1000".
bool ParseState(absl::string_view text, SlurmJob* job) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(' ', 1));
  if (!IsStateWord(parts.first)) return false;
  job->state = std::string(parts.first);
  job->phase = PhaseOf(job->state);
  absl::string_view by = parts.second;
  if (by.empty()) return true;
  job->reason = std::string(by);
  return job->state == "CANCELLED" && absl::ConsumePrefix(&by, "by ") &&
         IsSlurmNumber(by);
}

bool ParseRecord(absl::string_view line, SlurmRecord* record) {
  const std::vector<std::string> fields =
      absl::StrSplit(line, absl::MaxSplits('|', kFields - 1));
  int signal = 0;
  if (fields.size() != kFields || !IsSlurmNumber(fields[kNumber]) ||
      !ParseState(fields[kState], &record->job) ||
      !ParseExit(fields[kExit], &record->exit_status, &signal) ||
      !IsTime(fields[kSubmit])) {
    return false;
  }
  record->job.number = fields[kNumber];
  record->submitted = fields[kSubmit];
  record->name = fields[kName];
  record->folder = fields[kFolder];
  if (signal != 0 && record->job.reason.empty()) {
    record->job.reason = absl::StrCat("signal ", signal);
  }
  return true;
}

}  // namespace

std::vector<std::string> SacctCommand(const std::vector<std::string>& numbers) {
  // The folder comes last: it may have a | in its name.
  return {"sacct",
          "--noheader",
          "--parsable2",
          "--allocations",
          "--duplicates",
          absl::StrCat("--jobs=", absl::StrJoin(numbers, ",")),
          "--format=JobIDRaw,State,ExitCode,Submit,JobName,WorkDir"};
}

absl::StatusOr<std::vector<SlurmRecord>> ParseSacct(absl::string_view output) {
  std::vector<SlurmRecord> records;
  if (output.empty()) return records;
  if (!absl::ConsumeSuffix(&output, "\n")) {
    return absl::DataLossError("sacct's answer is cut short");
  }
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    SlurmRecord record;
    if (!ParseRecord(line, &record)) {
      return absl::DataLossError(
          absl::StrCat("sacct said '", line.substr(0, 200),
                       "'; expected the number, state, exit code, time of "
                       "submission, name and folder of a job"));
    }
    records.push_back(std::move(record));
  }
  return records;
}

bool IsWithoutAccounting(absl::string_view words) {
  return absl::StrContains(words, "accounting storage is disabled");
}

}  // namespace caracal
