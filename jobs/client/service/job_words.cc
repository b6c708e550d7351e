#include "jobs/client/service/job_words.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace caracal {

std::string StateWord(proto::JobState state) {
  if (state == proto::JOB_STATE_UNSPECIFIED ||
      !proto::JobState_IsValid(state)) {
    return "unknown";
  }
  return absl::AsciiStrToLower(proto::JobState_Name(state));
}

Style StyleOf(proto::JobState state) {
  switch (state) {
    case proto::RUNNING:
      return Style::kBold;
    case proto::SUCCEEDED:
      return Style::kGood;
    case proto::FAILED:
      return Style::kBad;
    case proto::RETRYING:
    case proto::PREEMPTED:
    case proto::CANCELLING:
      return Style::kWarning;
    case proto::CANCELLED:
      return Style::kDim;
    default:
      return Style::kPlain;
  }
}

bool HasEnded(proto::JobState state) {
  return state == proto::SUCCEEDED || state == proto::FAILED ||
         state == proto::CANCELLED;
}

std::string ProgressWords(const proto::JobProgress& progress) {
  if (progress.stage().empty()) return "";
  return absl::StrCat(progress.stage(), " ", progress.global_step(),
                      progress.total_steps() > 0
                          ? absl::StrCat("/", progress.total_steps())
                          : "");
}

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

std::string AgoWords(const google::protobuf::Timestamp& time, absl::Time now) {
  // Clocks of two machines differ.
  const int64_t seconds =
      std::max<int64_t>(0, absl::ToInt64Seconds(now - TimeOf(time)));
  if (seconds < 60) return absl::StrCat(seconds, " s ago");
  if (seconds < 3600) return absl::StrCat(seconds / 60, " min ago");
  if (seconds < 2 * 86400) return absl::StrCat(seconds / 3600, " h ago");
  return absl::StrCat(seconds / 86400, " days ago");
}

nlohmann::ordered_json ToJson(const proto::JobInfo& job) {
  const auto date = [](const google::protobuf::Timestamp& time) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(time),
                            absl::UTCTimeZone());
  };
  nlohmann::ordered_json json = {
      {"id", job.id()},
      {"name", job.name()},
      {"owner", job.owner()},
      {"state", StateWord(job.state())},
      {"reason", job.reason()},
      {"priority", job.priority()},
      {"slots", job.slots()},
      {"after", std::vector<uint64_t>(job.after().begin(), job.after().end())},
      {"stage", job.progress().stage()},
      {"global_step", job.progress().global_step()},
      {"total_steps", job.progress().total_steps()},
      {"gangs", job.gangs()},
      {"retries", job.retries()},
      {"submitted", date(job.submitted())},
      {"changed", date(job.changed())}};
  if (job.has_not_before()) json["not_before"] = date(job.not_before());
  if (!job.run_folder().empty()) json["run_folder"] = job.run_folder();
  return json;
}

}  // namespace caracal
