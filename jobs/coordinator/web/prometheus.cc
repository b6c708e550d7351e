#include "jobs/coordinator/web/prometheus.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/utf8.h"
#include "core/base/version.h"

namespace caracal {
namespace {

using Json = nlohmann::json;

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return absl::StrFormat("%.10g", value);
}

std::string Label(absl::string_view name, absl::string_view value) {
  return absl::StrCat(
      name, "=\"",
      absl::StrReplaceAll(AsValidUtf8(value),
                          {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
      "\"");
}

class Text {
 public:
  // Before the samples of a metric.
  void Describe(absl::string_view name, absl::string_view type,
                absl::string_view help) {
    absl::StrAppend(&out_, "# HELP ", name, " ", help, "\n# TYPE ", name, " ",
                    type, "\n");
  }
  void Sample(absl::string_view name, absl::string_view labels, double value) {
    absl::StrAppend(&out_, name);
    if (!labels.empty()) absl::StrAppend(&out_, "{", labels, "}");
    absl::StrAppend(&out_, " ", Number(value), "\n");
  }
  void One(absl::string_view name, absl::string_view type,
           absl::string_view help, double value) {
    Describe(name, type, help);
    Sample(name, "", value);
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string StateLabel(int state) {
  return Label("state",
               absl::AsciiStrToLower(NameOf(static_cast<JobState>(state))));
}

void WriteJobs(const CoordinatorStats& stats, Text* text) {
  text->Describe("caracal_jobs", "gauge", "Jobs, by state.");
  double waiting = 0;
  for (int i = 0; i < kJobStates; ++i) {
    const double jobs = static_cast<double>(stats.jobs[i]);
    text->Sample("caracal_jobs", StateLabel(i), jobs);
    if (Waits(static_cast<JobState>(i))) waiting += jobs;
  }
  text->Describe("caracal_job_transitions_total", "counter",
                 "Changes of jobs into each state, since the start.");
  for (int i = 0; i < kJobStates; ++i) {
    text->Sample("caracal_job_transitions_total", StateLabel(i),
                 static_cast<double>(stats.transitions[i]));
  }
  text->One("caracal_queue_length", "gauge", "Jobs that wait for slots.",
            waiting);
  text->One("caracal_slots", "gauge", "Slots of all gangs together.",
            static_cast<double>(stats.slots));
  text->One("caracal_slots_used", "gauge", "Slots that gangs hold.",
            static_cast<double>(stats.used_slots));
  text->One("caracal_events_total", "counter", "Events stored, ever.",
            static_cast<double>(stats.events));
}

// A number of the gang's last step or, of what not every step measures, of the
// last one of this stage that did.
std::optional<double> LastOf(const GangStats& gang, absl::string_view key) {
  const Json last = Json::parse(gang.metrics, nullptr, false);
  const auto number = [&](const Json& line) -> std::optional<double> {
    if (!line.is_object()) return std::nullopt;
    const auto found = line.find(std::string(key));
    if (found == line.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  };
  if (const auto value = number(last); value.has_value()) return value;
  for (size_t i = 0; i < kNowAndThen.size(); ++i) {
    if (key != kNowAndThen[i] || !last.is_object()) continue;
    const Json line = Json::parse(gang.last_with[i], nullptr, false);
    if (!line.is_object() || line.value("stage_index", Json()) !=
                                 last.value("stage_index", Json())) {
      continue;
    }
    return number(line);
  }
  return std::nullopt;
}

void WriteGangs(const CoordinatorStats& stats, Text* text) {
  const auto labels = [](const GangStats& gang) {
    // Not "job": that name is the scraper's.
    return absl::StrCat(Label("id", absl::StrCat(gang.job)), ",",
                        Label("name", gang.name));
  };
  text->Describe("caracal_gang_heartbeat_age_seconds", "gauge",
                 "Since a gang was last heard of.");
  for (const GangStats& gang : stats.gangs) {
    text->Sample("caracal_gang_heartbeat_age_seconds", labels(gang),
                 absl::ToDoubleSeconds(gang.silent_for));
  }
  text->Describe("caracal_job_step", "gauge", "Steps taken, over all stages.");
  for (const GangStats& gang : stats.gangs) {
    text->Sample("caracal_job_step", labels(gang),
                 static_cast<double>(gang.progress.global_step));
  }
  constexpr struct {
    const char *key, *name, *help;
  } kFigures[] = {
      {"loss", "caracal_job_loss", "Training loss of the last step."},
      {"validation_loss", "caracal_job_validation_loss",
       "Loss on held-out rows, as last measured in this stage."},
      {"tokens_per_s", "caracal_job_tokens_per_second",
       "Training speed of the last step."},
      {"drop_probability", "caracal_job_drop_probability",
       "Probability that a step drops the window (p)."},
      {"window", "caracal_job_window", "Length of the window (W), in tokens."},
      {"r", "caracal_job_linear_use_ratio",
       "Share of what linear attention could bring that it brings (r), as "
       "last measured in this stage."},
  };
  for (const auto& figure : kFigures) {
    text->Describe(figure.name, "gauge", figure.help);
    for (const GangStats& gang : stats.gangs) {
      const std::optional<double> value = LastOf(gang, figure.key);
      if (value.has_value()) text->Sample(figure.name, labels(gang), *value);
    }
  }
}

void WriteEvaluations(const EvaluationStats& stats, Text* text) {
  text->Describe("caracal_evaluations", "gauge", "Evaluations, by state.");
  for (int i = 0; i < kEvaluationPhases; ++i) {
    text->Sample("caracal_evaluations",
                 Label("state", NameOf(static_cast<EvaluationPhase>(i))),
                 static_cast<double>(stats.evaluations[i]));
  }
  constexpr char kParts[] = "caracal_evaluation_parts";
  text->Describe(kParts, "gauge",
                 "Parts that wait for a worker, and that one has, of "
                 "evaluations that have not ended.");
  text->Sample(kParts, Label("state", "pending"),
               static_cast<double>(stats.pending_parts));
  text->Sample(kParts, Label("state", "leased"),
               static_cast<double>(stats.leased_parts));
}

void WriteSubmissions(const SubmissionCounts& counts, Text* text) {
  text->Describe("caracal_submissions_total", "counter",
                 "Submissions since the start, by what came of them.");
  text->Sample("caracal_submissions_total", Label("result", "accepted"),
               static_cast<double>(counts.accepted));
  text->Sample("caracal_submissions_total", Label("result", "refused"),
               static_cast<double>(counts.refused));
  constexpr char kName[] = "caracal_submission_seconds";
  text->Describe(kName, "histogram",
                 "Until a submission that was accepted was durable.");
  for (size_t i = 0; i < counts.within.size(); ++i) {
    text->Sample(absl::StrCat(kName, "_bucket"),
                 Label("le", Number(SubmissionCounts::kBounds[i])),
                 static_cast<double>(counts.within[i]));
  }
  text->Sample(absl::StrCat(kName, "_bucket"), Label("le", "+Inf"),
               static_cast<double>(counts.accepted));
  text->Sample(absl::StrCat(kName, "_sum"), "", counts.seconds);
  text->Sample(absl::StrCat(kName, "_count"), "",
               static_cast<double>(counts.accepted));
}

}  // namespace

std::string PrometheusText(const CoordinatorStats& stats,
                           const EvaluationStats& evaluations,
                           const SubmissionCounts& submissions,
                           const ServiceHealth& health, const WebCounts& web) {
  Text text;
  text.Describe("caracal_build_info", "gauge", "Always 1.");
  text.Sample("caracal_build_info",
              Label("version", absl::StripPrefix(kVersion, "caracal ")), 1);
  text.One("caracal_store_healthy", "gauge",
           "1 when changes are written to the disk, 0 when that fails.",
           health.store.ok() ? 1 : 0);
  text.One("caracal_audit_healthy", "gauge",
           "1 when the audit log is written, 0 when that fails.",
           health.audit.ok() ? 1 : 0);
  constexpr char kExpiry[] = "caracal_certificate_expiry_timestamp_seconds";
  text.Describe(kExpiry, "gauge",
                "When the server's certificate expires, in seconds since 1970; "
                "none without TLS.");
  if (health.certificate_expires.has_value()) {
    text.Sample(
        kExpiry, "",
        static_cast<double>(absl::ToUnixSeconds(*health.certificate_expires)));
  }
  WriteJobs(stats, &text);
  WriteGangs(stats, &text);
  WriteEvaluations(evaluations, &text);
  WriteSubmissions(submissions, &text);
  text.Describe("caracal_web_requests_total", "counter",
                "Requests to the page's server, by kind of answer.");
  for (size_t i = 0; i < web.requests.size(); ++i) {
    text.Sample("caracal_web_requests_total",
                Label("code", absl::StrCat(i + 1, "xx")),
                static_cast<double>(web.requests[i].load()));
  }
  text.One("caracal_web_streams", "gauge", "Streams of events that are open.",
           static_cast<double>(web.streams.load()));
  return text.Take();
}

}  // namespace caracal
