#include "jobs/coordinator/web/prometheus.h"

#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "jobs/coordinator/web/web_server_fixture.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;

class PrometheusTest : public WebServerFixture {};

TEST_F(PrometheusTest, MetricsAreWhatPrometheusReads) {
  const JobId id = Submitted(Job());
  Register(id);
  Tell(id, {R"({"global_step":1,"loss":2.5,"tokens_per_s":1e3,"window":8,)"
            R"("drop_probability":0.25,"r":null})"});
  SubmitText("nonsense {");
  absl::Notification created;
  evaluations_->Create(
      {.owner = "ann", .spec = "s"},
      [&](const absl::StatusOr<EvaluationId>&) { created.Notify(); });
  created.WaitForNotification();
  const auto answer = client_->Get("/metrics");
  EXPECT_EQ(answer->get_header_value("Content-Type"),
            "text/plain; version=0.0.4; charset=utf-8");
  const std::regex sample(
      "([a-z_]+)(\\{[a-z]+=\"([^\"\\\\\n]|\\\\[\\\\\"n])*\""
      "(,[a-z]+=\"([^\"\\\\\n]|\\\\[\\\\\"n])*\")*\\})? "
      "([0-9.e+-]+|NaN|[+-]Inf)");
  const std::regex comment(
      "# (HELP [a-z_]+ .+|TYPE [a-z_]+ (gauge|counter|histogram))");
  std::set<std::string> described, seen;
  std::vector<std::string> lines = absl::StrSplit(answer->body, '\n');
  ASSERT_EQ(lines.back(), "");
  lines.pop_back();
  for (const std::string& line : lines) {
    std::smatch parts;
    if (line[0] == '#') {
      EXPECT_TRUE(std::regex_match(line, comment)) << line;
      const std::vector<std::string> words = absl::StrSplit(line, ' ');
      if (words[1] == "TYPE") {
        EXPECT_TRUE(described.insert(words[2]).second) << line;
      }
      continue;
    }
    ASSERT_TRUE(std::regex_match(line, parts, sample)) << line;
    std::string name = parts[1];
    for (const char* part : {"_bucket", "_sum", "_count"}) {
      const std::string base = name.substr(0, name.rfind(part));
      if (described.count(base)) name = base;
    }
    EXPECT_TRUE(described.count(name)) << line;
    EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second) << line;
  }
  for (const char* line :
       {"caracal_build_info{version=\"0.1\"} 1",
        "caracal_jobs{state=\"running\"} 1", "caracal_slots 2",
        "caracal_store_healthy 1", "caracal_audit_healthy 1",
        "caracal_queue_length 0",
        "caracal_submissions_total{result=\"accepted\"} 1",
        "caracal_evaluations{state=\"planning\"} 1",
        "caracal_evaluations{state=\"failed\"} 0",
        "caracal_evaluation_parts{state=\"pending\"} 1",
        "caracal_evaluation_parts{state=\"leased\"} 0",
        "caracal_submissions_total{result=\"refused\"} 1",
        "caracal_submission_seconds_count 1",
        "caracal_job_transitions_total{state=\"running\"} 1",
        "caracal_job_loss{id=\"1\",name=\"tiny\"} 2.5",
        "caracal_job_drop_probability{id=\"1\",name=\"tiny\"} 0.25"}) {
    EXPECT_THAT(lines, ::testing::Contains(line));
  }
}

TEST_F(PrometheusTest, WhatIsMeasuredNowAndThenStaysUntilItsStageEnds) {
  const JobId id = Submitted(Job());
  Register(id);
  const auto sample = [&](const char* name, const char* value) {
    return HasSubstr(absl::StrCat("\ncaracal_job_", name, "{id=\"", id,
                                  "\",name=\"tiny\"} ", value, "\n"));
  };
  Tell(id, {R"({"stage_index":0,"loss":3,"validation_loss":2.5,"r":0.5})",
            R"({"stage_index":0,"loss":2,"r":null})"});
  std::string text = client_->Get("/metrics")->body;
  EXPECT_THAT(text, sample("loss", "2"));
  EXPECT_THAT(text, sample("validation_loss", "2.5"));
  EXPECT_THAT(text, sample("linear_use_ratio", "0.5"));
  Tell(id, {R"({"stage_index":0,"loss":1.5})"}, 3);
  text = client_->Get("/metrics")->body;
  EXPECT_THAT(text, sample("validation_loss", "2.5"));
  // Another stage's is another loss.
  Tell(id, {R"({"stage_index":1,"loss":1})"}, 4);
  text = client_->Get("/metrics")->body;
  EXPECT_THAT(text, sample("loss", "1"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("caracal_job_validation_loss{")));
}

TEST(PrometheusTextTest, NamesAreQuoted) {
  CoordinatorStats stats;
  stats.gangs.push_back({.job = 3,
                         .name = "a\"b\\c\nd",
                         .progress = {"transfer", 7, 9},
                         .silent_for = absl::Seconds(2),
                         .metrics = "{\"loss\":1}"});
  const std::string text =
      PrometheusText(stats, {}, {},
                     {.store = absl::UnavailableError("full"),
                      .audit = absl::UnavailableError("full"),
                      .certificate_expires = absl::FromUnixSeconds(1800000000)},
                     {});
  EXPECT_THAT(
      text,
      HasSubstr("\ncaracal_job_loss{id=\"3\",name=\"a\\\"b\\\\c\\nd\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\ncaracal_store_healthy 0\n"));
  EXPECT_THAT(text, HasSubstr("\ncaracal_audit_healthy 0\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\ncaracal_certificate_expiry_timestamp_seconds 1800000000\n"));
}

}  // namespace
}  // namespace caracal
