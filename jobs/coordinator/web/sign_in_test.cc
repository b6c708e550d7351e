// Who may do what, by token and by session.

#include <atomic>

#include "absl/strings/str_cat.h"
#include "jobs/coordinator/web/web_server_fixture.h"

namespace caracal {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TokensTest : public WebServerFixture {};

// From the first token on nobody is let in without one.
TEST_F(TokensTest, TokensSayWhoMayDoWhat) {
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

TEST_F(TokensTest, WhoAsksTooOftenHasToWaitAndNobodyElse) {
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

class SignInTest : public WebServerFixture {
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

TEST_F(TokensTest, WithoutTokensNobodySignsIn) {
  EXPECT_EQ(Get("/api/session"),
            (Json{{"required", false},
                  {"user", {{"name", "local"}, {"role", "admin"}}}}));
  EXPECT_EQ(Post("/api/session", R"({"token":"x"})")->status, 409);
}

}  // namespace
}  // namespace caracal
