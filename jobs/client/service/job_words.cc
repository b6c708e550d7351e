#include "jobs/client/service/job_words.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "eval/report/numbers.h"

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

std::string HostWords(const std::vector<std::string>& hosts) {
  constexpr size_t kMost = 8;
  // In the order of their first ranks.
  std::vector<std::pair<std::string, std::string>> ranks;
  for (size_t begin = 0; begin < hosts.size();) {
    size_t end = begin + 1;
    while (end < hosts.size() && hosts[end] == hosts[begin]) ++end;
    auto host = std::find_if(ranks.begin(), ranks.end(), [&](const auto& h) {
      return h.first == hosts[begin];
    });
    if (host == ranks.end()) {
      host = ranks.insert(ranks.end(), {hosts[begin], ""});
    }
    absl::StrAppend(&host->second, host->second.empty() ? "" : ", ", begin,
                    end - begin > 1 ? absl::StrCat("-", end - 1) : "");
    begin = end;
  }
  std::string words;
  for (size_t i = 0; i < std::min(kMost, ranks.size()); ++i) {
    absl::StrAppend(&words, i > 0 ? ", " : "", ranks[i].second, " on ",
                    ranks[i].first);
  }
  if (ranks.size() > kMost) {
    absl::StrAppend(&words, " and ", ranks.size() - kMost, " more hosts");
  }
  return words;
}

std::string JsonDate(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", TimeOf(time),
                          absl::UTCTimeZone());
}

std::string RemovalWords(uint64_t id, const proto::RemoveJobResponse& removed) {
  if (removed.gone()) return absl::StrCat("job ", id, " was removed before");
  std::string words = absl::StrCat("job ", id, " is removed");
  if (removed.gangs() > 0) {
    absl::StrAppend(
        &words, ", with the ",
        removed.gangs() == 1
            ? std::string("folder of its gang")
            : absl::StrCat("folders of ", removed.gangs(), " gangs"),
        " (", Bytes(removed.bytes()), ")");
  }
  if (!removed.run_folder().empty()) {
    absl::StrAppend(&words, "; its run folder stays: ", removed.run_folder());
  }
  return words;
}

nlohmann::ordered_json ToJson(const proto::JobInfo& job) {
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
      {"submitted", JsonDate(job.submitted())},
      {"changed", JsonDate(job.changed())}};
  if (job.has_not_before()) json["not_before"] = JsonDate(job.not_before());
  if (job.has_tuned_drop_probability()) {
    json["tuned_drop_probability"] = job.tuned_drop_probability();
  }
  if (job.has_tuned_window()) json["tuned_window"] = job.tuned_window();
  if (job.hosts_size() > 0) {
    json["hosts"] =
        std::vector<std::string>(job.hosts().begin(), job.hosts().end());
  }
  if (!job.run_folder().empty()) json["run_folder"] = job.run_folder();
  return json;
}

}  // namespace caracal
