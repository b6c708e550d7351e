// What it serves, to whom it listens, and what it does not put up with.
#include "jobs/coordinator/web/web_server.h"

#include <unistd.h>

#include <atomic>
#include <vector>

#include "absl/strings/str_cat.h"
#include "jobs/coordinator/web/web_server_fixture.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class WebServerTest : public WebServerFixture {};

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

TEST_F(WebServerTest, HalfRequestsHoldNobodyUp) {
  Start({.most_streams = 1, .threads = 8});
  std::vector<int> slow;
  for (int i = 0; i < 12; ++i) {
    slow.push_back(Send("GET / HTTP/1.1\r\n"));
    // Of a body, and of nothing at all.
    slow.push_back(
        Send("POST /api/jobs HTTP/1.1\r\nHost: " + server_->address() +
             "\r\nX-Caracal-Request: x\r\nContent-Length: 9\r\n\r\n"));
    slow.push_back(Send(""));
  }
  // Within the client's patience, 5 s, where each of them may take 15 s.
  for (int i = 0; i < 3; ++i) Get("/healthz");
  for (const int socket : slow) close(socket);
}

TEST_F(WebServerTest, WithoutALengthThereIsNoBody) {
  EXPECT_THAT(Raw("POST /api/jobs/9/resume HTTP/1.1\r\nHost: " +
                      server_->address() + "\r\nX-Caracal-Request: x\r\n\r\n",
                  false),
              HasSubstr(" 404 "));
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
