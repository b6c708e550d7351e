#include "jobs/coordinator/web/job_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "core/base/utf8.h"

namespace caracal {
namespace {

using Json = nlohmann::ordered_json;

// A line of metrics is shorter.
constexpr uint64_t kTail = 16 << 10;

}  // namespace

Json ToJson(const JobRecord& job, absl::string_view metrics) {
  Json json = {
      {"id", job.id},
      {"name", AsValidUtf8(job.request.name)},
      {"owner", AsValidUtf8(job.request.owner)},
      {"state", NameOf(job.state)},
      {"reason", AsValidUtf8(job.reason)},
      {"priority", job.request.priority},
      {"slots", job.request.slots},
      {"after", job.request.after},
      {"stage", AsValidUtf8(job.progress.stage)},
      {"step", job.progress.global_step},
      {"steps", job.progress.total_steps},
      {"gangs", job.epoch},
      {"retries", job.retries},
      {"submitted", absl::ToUnixMillis(job.submitted)},
      {"changed", absl::ToUnixMillis(job.changed)},
  };
  if (Waits(job.state) && job.not_before > absl::InfinitePast()) {
    json["not_before"] = absl::ToUnixMillis(job.not_before);
  }
  const Json last = Json::parse(metrics, nullptr, /*allow_exceptions=*/false);
  json["metrics"] = last.is_object() ? last : Json();
  return json;
}

std::string ToServerSentEvent(const StoredEvent& event) {
  // Inside of JSON's strings there are none of these.
  const std::string data =
      absl::StrReplaceAll(event.data, {{"\n", " "}, {"\r", " "}});
  return absl::StrCat(
      "id: ", event.sequence, "\ndata: {\"sequence\":", event.sequence,
      ",\"time\":", absl::ToUnixMillis(event.time),
      ",\"kind\":", Json(event.kind).dump(), ",\"data\":", data, "}\n\n");
}

std::string LastLine(FileSystem* files, const std::string& path) {
  const auto size = files->FileSize(path);
  if (!size.ok()) return "";
  const auto file = files->Open(path);
  if (!file.ok()) return "";
  const uint64_t bytes = std::min(*size, kTail);
  std::string text(bytes, '\0');
  const auto got = (*file)->ReadAt(*size - bytes, bytes, text.data());
  if (!got.ok()) return "";
  text.resize(*got);
  const size_t end = text.rfind('\n');
  if (end == std::string::npos) return "";
  const size_t before =
      end == 0 ? std::string::npos : text.rfind('\n', end - 1);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, end - begin);
}

}  // namespace caracal
