// Over a socket, as a browser, a scraper or an attacker would.
#include "jobs/coordinator/web/web_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/testing/tiny_model.h"
#include "jobs/coordinator/web/prometheus.h"

namespace caracal {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const httplib::Headers kChange = {{"X-Caracal-Request", "test"}};

class EventsOnly : public CoordinatorOutput {
 public:
  explicit EventsOnly(EventHub* hub) : hub_(hub) {}
  void Order(const GangOrder&, const JobRecord&) override {}
  void Happened(const std::vector<StoredEvent>& events) override {
    hub_->Happened(events);
  }

 private:
  EventHub* const hub_;
};

class WebServerTest : public ::testing::Test {
 protected:
  WebServerTest() {
    CARACAL_CHECK_OK(WriteTinyModel(folder_.File("model")));
    CARACAL_CHECK_OK(WriteTinyData(folder_.File("train.h5"), 10, 48));
    auto store = JobStore::Open(folder_.path());
    CARACAL_CHECK_OK(store.status());
    store_ = *std::move(store);
    coordinator_.emplace(CoordinatorLimits{.slots = 2}, store_.get(),
                         Clock::Real(), &output_);
    CARACAL_CHECK_OK(coordinator_->Load());
    evaluations_.emplace(EvaluationLimits(), &*coordinator_, Clock::Real());
    CARACAL_CHECK_OK(evaluations_->Load(store_->database()));
    coordinator_->Recover();
    hub_.SetReader([this](auto... arguments) {
      coordinator_->Events(std::move(arguments)...);
    });
    submitter_.emplace(2, &*coordinator_, &files_);
    Start({});
  }
  ~WebServerTest() override { server_ = nullptr; }

  void Start(WebServerOptions options) {
    server_ = nullptr;
    options.listen = "127.0.0.1:0";
    auto server = WebServer::Start(
        options,
        {.coordinator = &*coordinator_,
         .evaluations = &*evaluations_,
         .hub = &hub_,
         .submitter = &*submitter_,
         .log_file =
             [this](JobId job, uint64_t epoch) {
               return folder_.File(absl::StrCat("log-", job, "-", epoch));
             },
         .runs = folder_.File("runs"),
         .files = FileSystem::Posix(),
         .access = &access_,
         .audit = audit_.get(),
         .rate = rate_});
    CARACAL_CHECK_OK(server.status());
    server_ = *std::move(server);
    client_ = std::make_unique<httplib::Client>("http://" + server_->address());
    client_->set_read_timeout(30);
  }
  int port() const {
    const std::string& address = server_->address();
    return std::stoi(address.substr(address.rfind(':') + 1));
  }

  std::string Job(const std::string& more = "") {
    return absl::StrCat(
        "name: \"tiny\" preset: \"lolcats\" model { path: \"",
        folder_.File("model"), "\" } data { path: \"", folder_.File("train.h5"),
        "\" } attention { window: 8 features: 32 } budget { transfer_steps: 2 "
        "finetune_steps: 1 batch: 2 } ",
        more);
  }
  httplib::Result Post(const std::string& path, const std::string& body = "{}",
                       const httplib::Headers& headers = kChange) {
    return client_->Post(path, headers, body, "application/json");
  }
  httplib::Result SubmitText(const std::string& text) {
    return Post("/api/jobs", Json{{"job", text}}.dump());
  }
  JobId Submitted(const std::string& text) {
    const auto answer = SubmitText(text);
    CARACAL_CHECK(answer && answer->status == 201);
    return Json::parse(answer->body)["id"].get<JobId>();
  }
  Json Get(const std::string& path, int status = 200) {
    const auto answer = client_->Get(path);
    CARACAL_CHECK(answer) << path;
    EXPECT_EQ(answer->status, status) << path << ": " << answer->body;
    return Json::parse(answer->body, nullptr, false);
  }
  void Tell(JobId id, const std::vector<std::string>& lines,
            int64_t first = 1) {
    absl::Mutex mutex;
    bool told = false;
    coordinator_->Heartbeat(
        id, 1, {.progress = {"transfer", 1, 3}, .first = first, .lines = lines},
        [&](const absl::StatusOr<GangAnswer>& answer) {
          EXPECT_OK(answer.status());
          absl::MutexLock lock(&mutex);
          told = true;
        });
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&told));
  }
  void Register(JobId id) {
    absl::Mutex mutex;
    bool told = false;
    coordinator_->Register(id, 1, [&](const auto& answer) {
      EXPECT_OK(answer.status());
      absl::MutexLock lock(&mutex);
      told = true;
    });
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(&told));
  }
  // Messages of a stream until there are `count`.
  std::vector<Json> Events(const std::string& path, size_t count,
                           const httplib::Headers& headers = {}) {
    std::string text;
    std::vector<Json> out;
    client_->Get(path, headers, [&](const char* data, size_t size) {
      text.append(data, size);
      out.clear();
      for (absl::string_view line : absl::StrSplit(text, '\n')) {
        if (absl::ConsumePrefix(&line, "data: ")) {
          out.push_back(Json::parse(line, nullptr, false));
        }
      }
      return out.size() < count;
    });
    return out;
  }
  // What comes back for these very bytes.
  std::string Raw(const std::string& bytes, bool finish = true) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port()));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CARACAL_CHECK(
        connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n =
          send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    if (finish) shutdown(socket, SHUT_WR);
    std::string out;
    char buffer[4096];
    ssize_t n;
    while ((n = recv(socket, buffer, sizeof(buffer), 0)) > 0) {
      out.append(buffer, static_cast<size_t>(n));
    }
    close(socket);
    return out;
  }

  TemporaryFolder folder_;
  EventHub hub_;
  EventsOnly output_{&hub_};
  std::unique_ptr<JobStore> store_;
  TokenBook tokens_{{}};
  FakeClock clock_;  // of tokens and sessions
  Access access_{{}, &tokens_, &clock_};
  RateLimit* rate_ = nullptr;  // as of the next start; null: none
  const std::string audit_path_ = folder_.File("audit.jsonl");
  std::unique_ptr<AuditLog> audit_;  // none until it is opened
  RootedFileSystem files_{*PathRoots::Of({}), FileSystem::Posix()};
  std::optional<Submitter> submitter_;
  std::optional<Evaluations> evaluations_;
  std::optional<Coordinator> coordinator_;
  std::unique_ptr<WebServer> server_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(WebServerTest, ThePageAndItsFilesAreServed) {
  for (const char* path : {"/", "/index.html", "/app.js", "/style.css",
                           "/chart.min.js", "/icon.svg"}) {
    const auto answer = client_->Get(path);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 200) << path;
    EXPECT_GT(answer->body.size(), 100) << path;
    const std::string etag = answer->get_header_value("ETag");
    const auto again = client_->Get(path, {{"If-None-Match", etag}});
    EXPECT_EQ(again->status, 304) << path;
    EXPECT_EQ(again->body, "");
  }
  EXPECT_THAT(client_->Get("/")->get_header_value("Content-Type"),
              HasSubstr("text/html"));
  EXPECT_THAT(client_->Get("/app.js")->get_header_value("Content-Type"),
              HasSubstr("javascript"));
  EXPECT_EQ(client_->Head("/")->body, "");
  Get("/nothing", 404);
  Get("/../etc/passwd", 404);
  Get("/%2e%2e/%2e%2e/etc/passwd", 404);
}

TEST_F(WebServerTest, EveryAnswerTellsTheBrowserToTrustNobodyElse) {
  for (const char* path : {"/", "/app.js", "/api/jobs", "/api/jobs/9",
                           "/metrics", "/healthz", "/nothing"}) {
    const auto answer = client_->Get(path);
    ASSERT_TRUE(answer);
    const std::string policy =
        answer->get_header_value("Content-Security-Policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'self'")) << path;
    EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'")) << path;
    EXPECT_THAT(policy, Not(HasSubstr("unsafe"))) << path;
    EXPECT_EQ(answer->get_header_value("X-Content-Type-Options"), "nosniff");
    EXPECT_FALSE(answer->has_header("Access-Control-Allow-Origin"));
  }
  // The page itself keeps to it.
  const std::string page = client_->Get("/")->body;
  EXPECT_THAT(page, Not(HasSubstr("<style")));
  EXPECT_THAT(page, Not(HasSubstr(" style=")));
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(page, Not(HasSubstr("http")));
}

TEST_F(WebServerTest, AJobIsTakenInShownCancelledAndResumed) {
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

TEST_F(WebServerTest, EveryProblemOfAJobIsToldWithItsField) {
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

TEST_F(WebServerTest, AJobComesAfterOthersAndIsTriedAgainAsAsked) {
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

TEST_F(WebServerTest, JobsAreListedInPages) {
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

TEST_F(WebServerTest, RequestsThatOtherPagesCauseAreRefused) {
  const JobId id = Submitted(Job());
  const std::string cancel = absl::StrCat("/api/jobs/", id, "/cancel");
  const auto with = [](const char* name, const std::string& value) {
    httplib::Headers headers = kChange;
    headers.emplace(name, value);
    return headers;
  };
  EXPECT_EQ(Post(cancel, "{}", {})->status, 403);
  EXPECT_EQ(Post(cancel, "{}", with("Origin", "http://evil.test"))->status,
            403);
  EXPECT_EQ(Post(cancel, "{}", with("Origin", "null"))->status, 403);
  EXPECT_EQ(Post(cancel, "{}", with("Sec-Fetch-Site", "cross-site"))->status,
            403);
  // Names that lead here but are not ours: DNS rebinding.
  for (const char* host : {"evil.test", "evil.test:80", "127.0.0.1.evil.test",
                           "", "localhost.evil.test", "[::2]:80"}) {
    for (const char* path : {"/", "/api/jobs", "/metrics"}) {
      const auto answer = client_->Get(path, {{"Host", host}});
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->status, 403) << host << path;
    }
  }
  EXPECT_EQ(Get(absl::StrCat("/api/jobs/", id))["state"], "LAUNCHING");
  for (const char* host :
       {"localhost:1", "LOCALHOST", "[::1]:7", "127.0.0.1"}) {
    EXPECT_EQ(client_->Get("/api/jobs", {{"Host", host}})->status, 200) << host;
  }
  EXPECT_EQ(client_->Options("/api/jobs", kChange)->status, 405);
  EXPECT_EQ(client_->Delete("/api/jobs/1", kChange)->status, 405);
  EXPECT_EQ(Post(cancel, "{}", with("Origin", "http://" + server_->address()))
                ->status,
            200);
}

TEST_F(WebServerTest, EventsComeLiveAndGoOnWhereTheyEnded) {
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

TEST_F(WebServerTest, StreamsAreCountedAndEndWithTheServer) {
  Start({.most_streams = 1, .threads = 2});
  const JobId id = Submitted(Job());
  const std::string path = absl::StrCat("/api/jobs/", id, "/events?after=9");
  std::atomic<bool> heard{false}, ended{false};
  absl::Mutex mutex;
  std::thread reader([&] {
    httplib::Client client("http://" + server_->address());
    client.Get(path, [&](const char*, size_t) {
      absl::MutexLock lock(&mutex);
      heard = true;
      return true;
    });
    ended = true;
  });
  {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](std::atomic<bool>* b) { return b->load(); }, &heard));
  }
  Get(path, 429);
  EXPECT_THAT(client_->Get("/metrics")->body,
              HasSubstr("\ncaracal_web_streams 1\n"));
  server_ = nullptr;
  reader.join();
  EXPECT_TRUE(ended);
}

TEST_F(WebServerTest, ClientsThatAreSlowOrSendTooMuchAreLetGo) {
  Start({.most_streams = 1,
         .threads = 1,
         .request_patience = absl::Milliseconds(300)});
  const std::string host = "Host: " + server_->address() + "\r\n";
  // Half a request holds the only thread, but not for long.
  EXPECT_THAT(Raw("GET / HTTP/1.1\r\n" + host, false),
              Not(HasSubstr("200 OK")));
  EXPECT_THAT(Raw("POST /api/jobs HTTP/1.1\r\n" + host +
                      "X-Caracal-Request: x\r\nContent-Length: 100\r\n\r\n{",
                  false),
              Not(HasSubstr("200 OK")));
  Get("/healthz");
  Start({});
  EXPECT_EQ(Post("/api/jobs", std::string((2 << 20) + 1, ' '))->status, 413);
  std::string many = "GET / HTTP/1.1\r\nHost: " + server_->address() + "\r\n";
  for (int i = 0; i < 20'000; ++i) many += "A: b\r\n";
  EXPECT_THAT(Raw(many + "\r\n"), Not(HasSubstr("200 OK")));
  // A body without an end.
  std::string chunks =
      "POST /api/jobs HTTP/1.1\r\nHost: " + server_->address() +
      "\r\nX-Caracal-Request: x\r\nContent-Type: "
      "application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 64; ++i) {
    chunks += "10000\r\n" + std::string(0x10000, ' ') + "\r\n";
  }
  EXPECT_THAT(Raw(chunks, false), Not(HasSubstr("201")));
  for (const char* bytes :
       {"", "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9\r\n\r\n", "\x16\x03\x01",
        "GET /%00%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-,0-\r\n\r\n",
        "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nX-Caracal-Request: "
        "x\r\nContent-Length: -5\r\n\r\n"}) {
    Raw(bytes);
  }
  Get("/healthz");
}

TEST_F(WebServerTest, LogsAreReadFromTheEndAndOn) {
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

TEST_F(WebServerTest, FilesOfARunAreShown) {
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

TEST_F(WebServerTest, MetricsAreWhatPrometheusReads) {
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
       {"caracal_jobs{state=\"running\"} 1", "caracal_slots 2",
        "caracal_store_healthy 1", "caracal_queue_length 0",
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

TEST(PrometheusTextTest, NamesAreQuoted) {
  CoordinatorStats stats;
  stats.gangs.push_back({.job = 3,
                         .name = "a\"b\\c\nd",
                         .progress = {"transfer", 7, 9},
                         .silent_for = absl::Seconds(2),
                         .metrics = "{\"loss\":1}"});
  const std::string text =
      PrometheusText(stats, {}, {}, absl::UnavailableError("full"), {});
  EXPECT_THAT(
      text,
      HasSubstr("\ncaracal_job_loss{id=\"3\",name=\"a\\\"b\\\\c\\nd\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\ncaracal_store_healthy 0\n"));
}

// From the first token on nobody is let in without one.
TEST_F(WebServerTest, TokensSayWhoMayDoWhat) {
  const JobId local = Submitted(Job());
  const auto add = [&](const std::string& name, Role role) {
    const std::string token = NewToken();
    tokens_.Add({.id = static_cast<int64_t>(tokens_.All().size()) + 1,
                 .name = name,
                 .role = role,
                 .hash = HashOfToken(token)});
    return httplib::Headers{{"X-Caracal-Request", "test"},
                            {"Authorization", "Bearer " + token}};
  };
  const httplib::Headers admin = add("root", Role::kAdmin);
  const httplib::Headers ann = add("ann", Role::kSubmitter);
  const httplib::Headers eve = add("eve", Role::kViewer);
  for (const char* path : {"/api/jobs", "/api/jobs/1", "/metrics",
                           "/api/jobs/1/events", "/api/jobs/1/logs"}) {
    EXPECT_EQ(client_->Get(path)->status, 401) << path;
  }
  EXPECT_EQ(client_->Get("/api/jobs", eve)->status, 200);
  EXPECT_EQ(client_->Get("/")->status, 200);
  const std::string job = Json{{"job", Job()}}.dump();
  EXPECT_EQ(Post("/api/jobs", job)->status, 401);
  EXPECT_EQ(Post("/api/jobs", job, eve)->status, 403);
  const auto answer = Post("/api/jobs", job, ann);
  ASSERT_EQ(answer->status, 201);
  const JobId hers = Json::parse(answer->body)["id"].get<JobId>();
  EXPECT_EQ(coordinator_->Get(hers)->request.owner, "ann");
  const auto cancel = [&](JobId id, const httplib::Headers& headers) {
    return Post(absl::StrCat("/api/jobs/", id, "/cancel"), "{}", headers)
        ->status;
  };
  EXPECT_EQ(cancel(local, ann), 403);
  EXPECT_EQ(cancel(hers, eve), 403);
  EXPECT_EQ(cancel(hers, ann), 200);
  EXPECT_EQ(cancel(local, admin), 200);
}

TEST_F(WebServerTest, JobsComeWhateverTheirContentTypeSays) {
  const std::string job =
      Json{{"job", Job("# " + std::string(100 << 10, 'x') + "\n")}}.dump();
  for (const char* type : {"application/x-www-form-urlencoded", "text/plain",
                           "multipart/form-data; boundary=x"}) {
    const auto answer = client_->Post("/api/jobs", kChange, job, type);
    ASSERT_TRUE(answer) << type;
    EXPECT_EQ(answer->status, 201) << type << ": " << answer->body;
  }
}

TEST_F(WebServerTest, WhoAsksTooOftenHasToWaitAndNobodyElse) {
  RateLimit rate(1, &clock_);  // two calls at once, and then one a second
  rate_ = &rate;
  Start({});
  tokens_.Add({.id = 1,
               .name = "vera",
               .role = Role::kViewer,
               .hash = HashOfToken("secret")});
  const httplib::Headers vera = {{"Authorization", "Bearer secret"}};
  EXPECT_EQ(client_->Get("/api/jobs", vera)->status, 200);
  EXPECT_EQ(client_->Get("/metrics", vera)->status, 200);
  for (const char* path : {"/api/jobs", "/api/jobs/1/events", "/metrics"}) {
    const auto answer = client_->Get(path, vera);
    EXPECT_EQ(answer->status, 429) << path;
    EXPECT_EQ(answer->get_header_value("Retry-After"), "1") << path;
  }
  httplib::Headers change = kChange;
  change.insert(vera.begin(), vera.end());
  EXPECT_EQ(Post("/api/jobs", "{}", change)->status, 429);
  // What nobody has to be known for goes on, and so do others.
  EXPECT_EQ(client_->Get("/", vera)->status, 200);
  EXPECT_EQ(client_->Get("/api/session", vera)->status, 200);
  EXPECT_EQ(client_->Get("/api/jobs")->status, 401);
  EXPECT_EQ(client_->Get("/api/jobs")->status, 401);
  EXPECT_EQ(client_->Get("/api/jobs")->status, 429);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(client_->Get("/api/jobs", vera)->status, 200);
  EXPECT_EQ(client_->Get("/api/jobs", vera)->status, 429);
  server_ = nullptr;
}

// Of the cookie that an answer sets, name and value.
std::string CookieIn(const httplib::Result& answer) {
  CARACAL_CHECK(answer && answer->has_header("Set-Cookie"));
  const std::string cookie = answer->get_header_value("Set-Cookie");
  return cookie.substr(0, cookie.find(';'));
}

class SignInTest : public WebServerTest {
 protected:
  SignInTest() {
    tokens_.Add({.id = 1,
                 .name = "vera",
                 .role = Role::kViewer,
                 .hash = HashOfToken("secret")});
    auto audit = AuditLog::Open(audit_path_, {}, &clock_);
    CARACAL_CHECK_OK(audit.status());
    audit_ = *std::move(audit);
    Start({.clock = &clock_});
  }
  ~SignInTest() override { server_ = nullptr; }

  httplib::Result SignIn(const std::string& token,
                         httplib::Headers headers = kChange) {
    return Post("/api/session", Json{{"token", token}}.dump(), headers);
  }
  static httplib::Headers With(const std::string& cookie) {
    httplib::Headers headers = kChange;
    headers.emplace("Cookie", cookie);
    return headers;
  }
  int StatusOf(const std::string& path, const std::string& cookie) {
    return client_->Get(path, With(cookie))->status;
  }
};

TEST_F(SignInTest, ASessionStandsForItsTokenUntilThatIsRevoked) {
  EXPECT_EQ(Get("/api/session"), (Json{{"required", true}, {"user", nullptr}}));
  const auto answer = SignIn(" secret\n");
  ASSERT_EQ(answer->status, 200);
  EXPECT_EQ(Json::parse(answer->body)["user"],
            (Json{{"name", "vera"}, {"role", "viewer"}}));
  EXPECT_THAT(answer->get_header_value("Set-Cookie"),
              ::testing::MatchesRegex(
                  "caracal_session_[0-9]+=[0-9a-f]{64}; Path=/; HttpOnly; "
                  "SameSite=Strict; Max-Age=43200"));
  EXPECT_THAT(answer->body, Not(HasSubstr("secret")));
  const std::string cookie = CookieIn(answer);
  for (const char* path : {"/api/jobs", "/metrics"}) {
    EXPECT_EQ(StatusOf(path, cookie), 200) << path;
    EXPECT_EQ(StatusOf(path, "other=1; " + cookie), 200) << path;
    EXPECT_EQ(StatusOf(path, cookie + "0"), 401) << path;
    EXPECT_EQ(StatusOf(path, cookie + "; " + cookie), 401) << path;
    EXPECT_EQ(client_->Get(path)->status, 401) << path;
  }
  // What the role does not allow is refused here, too.
  EXPECT_EQ(
      Post("/api/jobs", Json{{"job", Job()}}.dump(), With(cookie))->status,
      403);
  tokens_.Revoke(1, clock_.WallTime());
  EXPECT_EQ(StatusOf("/api/jobs", cookie), 401);
  EXPECT_EQ(SignIn("secret")->status, 401);
  const std::string log = *FileSystem::Posix()->ReadFile(audit_path_);
  for (const char* line :
       {R"("caller":"vera","role":"viewer","peer":"page",)"
        R"("method":"Page.SignIn","outcome":"OK")",
        R"("method":"Page.SignIn","outcome":"UNAUTHENTICATED")"}) {
    EXPECT_THAT(log, HasSubstr(line));
  }
  EXPECT_THAT(log, Not(HasSubstr("secret")));
  EXPECT_THAT(log, Not(HasSubstr(cookie.substr(cookie.find('=') + 1))));
}

TEST_F(SignInTest, SigningOutEndsTheSessionAlone) {
  const std::string one = CookieIn(SignIn("secret"));
  const std::string other = CookieIn(SignIn("secret"));
  const auto answer = Post("/api/session/end", "{}", With(one));
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->get_header_value("Set-Cookie"), HasSubstr("Max-Age=0"));
  EXPECT_EQ(StatusOf("/api/jobs", one), 401);
  EXPECT_EQ(StatusOf("/api/jobs", other), 200);
  // Nobody is signed out twice.
  EXPECT_EQ(Post("/api/session/end", "{}", With(one))->status, 200);
  const std::string log = *FileSystem::Posix()->ReadFile(audit_path_);
  EXPECT_EQ(log.find("Page.SignOut"), log.rfind("Page.SignOut"));
  EXPECT_NE(log.find("Page.SignOut"), std::string::npos);
  clock_.Advance(kSessionLifetime);
  EXPECT_EQ(StatusOf("/api/jobs", other), 401);
}

TEST_F(SignInTest, AttemptsAreLimitedAndOtherPagesMakeNone) {
  EXPECT_EQ(SignIn("secret", {})->status, 403);
  EXPECT_EQ(SignIn("secret",
                   {{"X-Caracal-Request", "x"}, {"Origin", "http://evil.test"}})
                ->status,
            403);
  for (const char* body : {"", "[]", "{}", R"({"token":7})", "secret"}) {
    const auto answer = Post("/api/session", body);
    EXPECT_GE(answer->status, 400) << body;
    EXPECT_THAT(answer->body, Not(HasSubstr("secret")));
  }
  // Wrong ones that come too fast keep nobody out but one another.
  EXPECT_EQ(SignIn("wrong")->status, 429);
  EXPECT_EQ(SignIn("secret")->status, 200);
  while (SignIn("secret")->status == 200) {
  }
  EXPECT_EQ(SignIn("secret")->status, 429);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(SignIn("wrong")->status, 401);
  EXPECT_EQ(SignIn("secret")->status, 200);
  // Behind a proxy that speaks TLS the cookie does not go without.
  httplib::Headers headers = kChange;
  headers.emplace("Origin", "https://" + server_->address());
  EXPECT_THAT(SignIn("secret", headers)->get_header_value("Set-Cookie"),
              ::testing::EndsWith("; Secure"));
}

TEST_F(SignInTest, StreamsEndWithTheSession) {
  const std::string cookie = CookieIn(SignIn("secret"));
  JobId id = 0;
  absl::Mutex mutex;
  coordinator_->Submit({.name = "x"}, [&](const absl::StatusOr<JobId>& got) {
    absl::MutexLock lock(&mutex);
    id = got.value();
  });
  {
    absl::MutexLock lock(&mutex);
    mutex.Await(absl::Condition(
        +[](JobId* i) { return *i != 0; }, &id));
  }
  std::string text;
  bool told = false;
  client_->Get(absl::StrCat("/api/jobs/", id, "/events"), With(cookie),
               [&](const char* data, size_t size) {
                 text.append(data, size);
                 if (text.find("LAUNCHING") != std::string::npos && !told) {
                   told = true;
                   tokens_.Revoke(1, clock_.WallTime());
                   Register(id);
                 }
                 return true;
               });
  // The server has ended it, and told nothing more.
  EXPECT_TRUE(told);
  EXPECT_THAT(text, Not(HasSubstr("RUNNING")));
}

TEST_F(WebServerTest, WithoutTokensNobodySignsIn) {
  EXPECT_EQ(Get("/api/session"),
            (Json{{"required", false},
                  {"user", {{"name", "local"}, {"role", "admin"}}}}));
  EXPECT_EQ(Post("/api/session", R"({"token":"x"})")->status, 409);
}

TEST_F(WebServerTest, OnlyThisMachineIsListenedTo) {
  const auto start = [&](const std::string& listen) {
    return WebServer::Start({.listen = listen}, {.coordinator = &*coordinator_,
                                                 .hub = &hub_,
                                                 .submitter = &*submitter_,
                                                 .log_file = nullptr,
                                                 .runs = "",
                                                 .files = FileSystem::Posix()})
        .status();
  };
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "example.org:80",
                             "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536"}) {
    EXPECT_EQ(start(listen).code(), absl::StatusCode::kInvalidArgument)
        << listen;
  }
  EXPECT_EQ(start(server_->address()).code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace caracal
