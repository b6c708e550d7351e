#include "jobs/launch/slurm/squeue.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

namespace caracal {
namespace {

// In the order of SqueueCommand's fields.
enum Field { kTag, kNumber, kState, kReason, kComment, kFields };
constexpr absl::string_view kTagText = "job";

bool IsOneOf(absl::string_view text,
             std::initializer_list<absl::string_view> words) {
  for (const absl::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

}  // namespace

bool IsSlurmNumber(absl::string_view text) {
  if (text.empty() || text.size() > 10) return false;
  for (const char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return true;
}

std::vector<std::string> SqueueCommand() {
  // The comment comes last: another job's may hold whatever its user wrote,
  // line feeds too.
  return {"squeue",
          "--noheader",
          "--me",
          "--all",
          "--states=all",
          "--sort=i",
          "--format=job|%A|%T|%r|%k"};
}

SlurmPhase PhaseOf(absl::string_view state) {
  if (IsOneOf(state, {"PENDING", "PD", "CONFIGURING", "CF", "REQUEUED", "RQ",
                      "REQUEUE_FED", "RF", "REQUEUE_HOLD", "RH",
                      "RESV_DEL_HOLD", "RD", "SPECIAL_EXIT", "SE"})) {
    return SlurmPhase::kWaiting;
  }
  if (IsOneOf(state, {"COMPLETING", "CG", "STAGE_OUT", "SO"})) {
    return SlurmPhase::kClearing;
  }
  if (IsOneOf(state,
              {"COMPLETED", "CD", "CANCELLED", "CA", "FAILED",        "F",
               "TIMEOUT",   "TO", "NODE_FAIL", "NF", "PREEMPTED",     "PR",
               "BOOT_FAIL", "BF", "DEADLINE",  "DL", "OUT_OF_MEMORY", "OOM",
               "REVOKED",   "RV"})) {
    return SlurmPhase::kEnded;
  }
  return SlurmPhase::kRunning;
}

absl::StatusOr<std::map<std::string, SlurmJob>> ParseSqueue(
    absl::string_view output) {
  std::map<std::string, SlurmJob> jobs;
  if (!output.empty() && output.back() != '\n') {
    return absl::DataLossError("squeue's answer is cut short");
  }
  for (const absl::string_view line : absl::StrSplit(output, '\n')) {
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::MaxSplits('|', kFields - 1));
    if (fields[kTag] != kTagText && (line.empty() || !jobs.empty())) continue;
    if (fields.size() != kFields || fields[kTag] != kTagText ||
        !IsSlurmNumber(fields[kNumber]) || fields[kState].empty()) {
      return absl::DataLossError(absl::StrCat(
          "squeue said '", line.substr(0, 200),
          "'; expected the number, state, reason and comment of a job"));
    }
    SlurmJob job = {.number = fields[kNumber],
                    .phase = PhaseOf(fields[kState]),
                    .state = fields[kState],
                    .reason = fields[kReason] == "None" ? "" : fields[kReason]};
    const std::string mark(absl::StripAsciiWhitespace(fields[kComment]));
    const auto [it, is_new] = jobs.emplace(mark, job);
    if (!is_new && it->second.phase == SlurmPhase::kEnded) {
      it->second = std::move(job);
    }
  }
  return jobs;
}

absl::StatusOr<std::string> ParseSbatch(absl::string_view output) {
  const absl::string_view line = absl::StripAsciiWhitespace(output);
  // "7", or "7;cluster".
  const absl::string_view number = line.substr(0, line.find(';'));
  if (IsSlurmNumber(number)) return std::string(number);
  return absl::DataLossError(absl::StrCat("sbatch said '", line.substr(0, 200),
                                          "'; expected the job's number"));
}

bool IsFinalRefusal(absl::string_view words) {
  for (const absl::string_view passing :
       {"ontact slurm controller", "imed out", "imeout", "temporar",
        "try again", "limit", "Limit", "Zero Bytes", "Transport", "onnection",
        "ommunication", "uthentication", "not responding", "Unexpected message",
        "standby", "No space left", "munge", "Maximum"}) {
    if (absl::StrContains(words, passing) &&
        // Of the job's own time limit, not of how many jobs there may be.
        !absl::StrContains(words, "Requested time limit is invalid")) {
      return false;
    }
  }
  return true;
}

}  // namespace caracal
