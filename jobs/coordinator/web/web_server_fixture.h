// A coordinator without gangs and its web server, over a socket, as a browser,
// a scraper or an attacker would have it.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_FIXTURE_H_
#define CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/fake_clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/coordinator/rpc/testing/events_only.h"
#include "jobs/coordinator/web/web_server.h"

namespace caracal {

using Json = nlohmann::json;

// What the page sends with every change.
inline const httplib::Headers kChange = {{"X-Caracal-Request", "test"}};

class WebServerFixture : public ::testing::Test {
 protected:
  // With default options, and no tokens.
  WebServerFixture();
  ~WebServerFixture() override { server_ = nullptr; }

  // Another server, on another port, and client_ to go with it.
  void Start(WebServerOptions options);
  int port() const;

  // A tiny job's text.
  std::string Job(const std::string& more = "");
  httplib::Result Post(const std::string& path, const std::string& body = "{}",
                       const httplib::Headers& headers = kChange);
  httplib::Result SubmitText(const std::string& text);
  JobId Submitted(const std::string& text);
  Json Get(const std::string& path, int status = 200);
  // As the gang of the job would; until the coordinator has it.
  void Tell(JobId id, const std::vector<std::string>& lines, int64_t first = 1);
  void Register(JobId id);
  // Messages of a stream until there are `count`.
  std::vector<Json> Events(const std::string& path, size_t count,
                           const httplib::Headers& headers = {});
  // A connection on which these very bytes were sent; the caller closes it.
  int Send(const std::string& bytes);
  // What comes back for them.
  std::string Raw(const std::string& bytes, bool finish = true);

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

 private:
  // Makes a call, and waits for its answer, which has to be OK.
  void Await(const std::function<void(Coordinator::GangReply)>& call);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_WEB_SERVER_FIXTURE_H_
