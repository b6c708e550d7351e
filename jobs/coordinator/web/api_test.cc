// Jobs, and what they leave, over /api.

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "jobs/coordinator/web/web_server_fixture.h"

namespace caracal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ApiTest : public WebServerFixture {};

TEST_F(ApiTest, AJobIsTakenInShownCancelledAndResumed) {
  const JobId id = Submitted(Job());
  const Json job = Get(absl::StrCat("/api/jobs/", id));
  EXPECT_EQ(job["name"], "tiny");
  EXPECT_EQ(job["state"], "LAUNCHING");
  EXPECT_EQ(job["owner"], "local");
  EXPECT_THAT(job["job"].get<std::string>(), HasSubstr("stages {"));
  EXPECT_TRUE(job["metrics"].is_null());
  Register(id);
  Tell(id, {R"({"global_step":1,"loss":2.5})"});
  EXPECT_EQ(Get(absl::StrCat("/api/jobs/", id))["metrics"]["loss"], 2.5);
  const std::string path = absl::StrCat("/api/jobs/", id);
  EXPECT_EQ(Post(path + "/cancel", R"({"idempotency_key":"c"})")->status, 200);
  EXPECT_EQ(Get(path)["state"], "CANCELLING");
  EXPECT_EQ(Post(path + "/resume")->status, 409);
  coordinator_->GangEnded(id, 1, GangEnd::kStopped, "");
  absl::Notification stored;
  coordinator_->OnStore([&](JobStore&) { stored.Notify(); });
  stored.WaitForNotification();
  EXPECT_EQ(Get(path)["state"], "CANCELLED");
  EXPECT_EQ(Post(path + "/resume", R"({"idempotency_key":"k"})")->status, 200);
  EXPECT_EQ(Get(path)["state"], "LAUNCHING");
  // The same cancel, whose answer was lost.
  EXPECT_EQ(Post(path + "/cancel", R"({"idempotency_key":"c"})")->status, 200);
  EXPECT_EQ(Get(path)["state"], "LAUNCHING");
  EXPECT_EQ(Post("/api/jobs/99/cancel")->status, 404);
  EXPECT_EQ(Post("/api/jobs/99/other")->status, 404);
  EXPECT_EQ(Post("/api/nothing")->status, 404);
}

TEST_F(ApiTest, EveryProblemOfAJobIsToldWithItsField) {
  const auto answer =
      SubmitText(Job("lora { rank: -1 } optimizer { beta1: 2 } "));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 400);
  std::set<std::string> fields;
  const Json told = Json::parse(answer->body);
  for (const Json& problem : told["error"]["problems"]) {
    fields.insert(problem["field"].get<std::string>());
    EXPECT_NE(problem["message"], "");
  }
  EXPECT_THAT(fields,
              ::testing::IsSupersetOf({"lora.rank", "optimizer.beta1"}));
  for (const char* body :
       {"", "{", "[]", "{}", R"({"job":7})", "\xff",
        R"({"job":"x","priority":"high"})", R"({"job":"x","after":7})",
        R"({"job":"x","after":["1"]})", R"({"job":"x","after":[-1]})",
        R"({"job":"x","max_retries":"3"})"}) {
    EXPECT_EQ(Post("/api/jobs", body)->status, 400) << body;
  }
  // What is no number is told together with the job's own problems.
  const auto both = Post("/api/jobs", Json{{"job", Job("lora { rank: -1 } ")},
                                           {"max_retries", "1.7"},
                                           {"after", Json::array({"abc", 7.5})}}
                                          .dump());
  ASSERT_TRUE(both);
  EXPECT_EQ(both->status, 400);
  std::vector<std::string> lines;
  const Json refused = Json::parse(both->body);
  for (const Json& problem : refused["error"]["problems"]) {
    lines.push_back(absl::StrCat(problem["field"].get<std::string>(), ": ",
                                 problem["message"].get<std::string>()));
  }
  EXPECT_THAT(lines, ::testing::UnorderedElementsAre(
                         "max_retries: is \"1.7\", expected an integer",
                         "after: found \"abc\", expected numbers of jobs",
                         "after: found 7.5, expected numbers of jobs",
                         ::testing::StartsWith("lora.rank: is -1")));
  EXPECT_TRUE(coordinator_->List({}, 0, 9).jobs.empty());
  EXPECT_GE(submitter_->Counts().refused, 1);
}

TEST_F(ApiTest, FieldsThatNobodyReadsAreRefused) {
  const Json body = {{"job", Job()}, {"prio", 3}};
  const auto refused = Post("/api/jobs", body.dump());
  EXPECT_EQ(refused->status, 400);
  EXPECT_THAT(refused->body, ::testing::HasSubstr("there is no such field"));
  EXPECT_EQ(Json::parse(refused->body)["error"]["problems"][0]["field"],
            "prio");
  const JobId id = Submitted(Job());
  EXPECT_EQ(
      Post(absl::StrCat("/api/jobs/", id, "/cancel"), R"({"idempotency":"k"})")
          ->status,
      400);
  EXPECT_EQ(Get(absl::StrCat("/api/jobs/", id))["state"], "LAUNCHING");
}

TEST_F(ApiTest, AJobComesAfterOthersAndIsTriedAgainAsAsked) {
  const JobId first = Submitted(Job());
  const auto submit = [&](const Json& more) {
    Json body = {{"job", Job()}};
    body.update(more);
    return Post("/api/jobs", body.dump());
  };
  const auto answer =
      submit({{"after", Json::array({first})}, {"max_retries", 7}});
  ASSERT_EQ(answer->status, 201) << answer->body;
  const auto job =
      coordinator_->Get(Json::parse(answer->body)["id"].get<JobId>());
  EXPECT_THAT(job->request.after, ElementsAre(first));
  EXPECT_EQ(job->request.max_retries, 7);
  // What it can't come after is a problem of this field.
  const auto refused = submit({{"after", Json::array({99})}});
  EXPECT_EQ(refused->status, 404);
  EXPECT_EQ(Json::parse(refused->body)["error"]["problems"][0]["field"],
            "after");
  EXPECT_EQ(submit({{"max_retries", -1}})->status, 400);
}

TEST_F(ApiTest, JobsAreListedInPages) {
  for (int i = 0; i < 5; ++i) Submitted(Job("parallel { data: 2 }"));
  std::vector<JobId> ids;
  std::string from = "0";
  while (true) {
    const Json page = Get("/api/jobs?limit=2&from=" + from);
    for (const Json& job : page["jobs"]) ids.push_back(job["id"].get<JobId>());
    if (!page.contains("next")) break;
    from = page["next"].dump();
  }
  EXPECT_THAT(ids, ElementsAre(5, 4, 3, 2, 1));
  const Json queued = Get("/api/jobs?state=QUEUED");
  EXPECT_EQ(queued["jobs"].size(), 4);
  EXPECT_EQ(queued["counts"]["LAUNCHING"], 1);
  EXPECT_EQ(queued["used_slots"], 2);
  Get("/api/jobs?state=ODD", 400);
  Get("/api/jobs?limit=x", 400);
  Get("/api/jobs?from=-1", 400);
}

TEST_F(ApiTest, EventsComeLiveAndGoOnWhereTheyEnded) {
  const JobId id = Submitted(Job());
  const std::string path = absl::StrCat("/api/jobs/", id, "/events");
  Register(id);
  // A line that would end its message if it were sent as it is.
  Tell(id, {"{\"global_step\":1,\n\n\"loss\":2}", R"({"global_step":2})"});
  const std::vector<Json> all = Events(path, 5);
  ASSERT_EQ(all.size(), 5);
  EXPECT_EQ(all[0]["kind"], "state");
  EXPECT_EQ(all[3]["data"]["loss"], 2);
  EXPECT_EQ(all[4]["data"]["global_step"], 2);
  const uint64_t before = all[3]["sequence"].get<uint64_t>();
  EXPECT_THAT(Events(absl::StrCat(path, "?after=", before), 1),
              ElementsAre(all[4]));
  // What the browser says when it comes again goes first.
  EXPECT_THAT(
      Events(path + "?after=0", 1, {{"Last-Event-ID", absl::StrCat(before)}}),
      ElementsAre(all[4]));
  // Live: told once the reader is there.
  std::string text;
  bool told = false;
  client_->Get(absl::StrCat(path, "?after=", all[4]["sequence"].dump()),
               [&](const char* data, size_t size) {
                 text.append(data, size);
                 if (!std::exchange(told, true)) {
                   Tell(id, {R"({"global_step":3})"}, 3);
                 }
                 return text.find("\"global_step\":3") == std::string::npos;
               });
  EXPECT_THAT(text, HasSubstr("\"kind\":\"metrics\""));
  Get("/api/jobs/99/events", 404);
  Get(path + "?after=x", 400);
}

TEST_F(ApiTest, LogsAreReadFromTheEndAndOn) {
  const JobId id = Submitted(Job());
  const std::string path = absl::StrCat("/api/jobs/", id, "/logs");
  EXPECT_EQ(Get(path)["text"], "");
  const std::string log = folder_.File(absl::StrCat("log-", id, "-1"));
  CARACAL_CHECK_OK(FileSystem::Posix()->Append(log, "one\n\xff"));
  const Json first = Get(path);
  EXPECT_EQ(first["text"], "one\n\xEF\xBF\xBD");
  EXPECT_EQ(first["next"], 5);
  CARACAL_CHECK_OK(FileSystem::Posix()->Append(log, "two\n"));
  EXPECT_EQ(Get(path + "?gang=1&offset=5")["text"], "two\n");
  EXPECT_EQ(Get(path + "?gang=7")["text"], "");
  CARACAL_CHECK_OK(
      FileSystem::Posix()->Append(log, std::string(1 << 20, 'x') + "end"));
  const Json tail = Get(path);
  EXPECT_LT(tail["text"].get<std::string>().size(), 1 << 18);
  EXPECT_EQ(tail["next"], tail["size"]);
  Get(path + "?offset=x", 400);
}

TEST_F(ApiTest, FilesOfARunAreShown) {
  const JobId id = Submitted(Job());
  const std::string path = absl::StrCat("/api/jobs/", id);
  EXPECT_TRUE(Get(path + "/checkpoints")["checkpoints"].empty());
  Get(path + "/attribution", 404);
  Get(path + "/report", 404);
  const std::string run = folder_.File(absl::StrCat("runs/", id));
  FileSystem* const files = FileSystem::Posix();
  CARACAL_CHECK_OK(files->CreateFolder(run));
  CARACAL_CHECK_OK(files->Append(run + "/attribution.json", "{\"modes\":{}}"));
  CARACAL_CHECK_OK(files->Append(run + "/report.html", "<p>all is well</p>"));
  CARACAL_CHECK_OK(files->Append(run + "/metrics.jsonl",
                                 "{\"loss\":9}\n{\"loss\":1.5}\n{\"lo"));
  EXPECT_TRUE(Get(path + "/attribution").contains("modes"));
  const auto report = client_->Get(path + "/report");
  EXPECT_EQ(report->body, "<p>all is well</p>");
  EXPECT_THAT(report->get_header_value("Content-Security-Policy"),
              HasSubstr("sandbox; default-src 'none'"));
  EXPECT_EQ(report->get_header_value_count("Content-Security-Policy"), 1);
  // A coordinator that no gang has told yet.
  EXPECT_EQ(Get(path)["metrics"]["loss"], 1.5);
}

TEST_F(ApiTest, JobsComeWhateverTheirContentTypeSays) {
  const std::string job =
      Json{{"job", Job("# " + std::string(100 << 10, 'x') + "\n")}}.dump();
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain",
                           "multipart/form-data; boundary=x"}) {
    const auto answer = client_->Post("/api/jobs", kChange, job, type);
    ASSERT_TRUE(answer) << type;
    EXPECT_EQ(answer->status, 201) << type << ": " << answer->body;
  }
}

}  // namespace
}  // namespace caracal
