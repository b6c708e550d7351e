#include "jobs/coordinator/web/web_server_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "jobs/client/testing/tiny_model.h"

namespace caracal {

WebServerFixture::WebServerFixture() {
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

void WebServerFixture::Start(WebServerOptions options) {
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

int WebServerFixture::port() const {
  const std::string& address = server_->address();
  return std::stoi(address.substr(address.rfind(':') + 1));
}

std::string WebServerFixture::Job(const std::string& more) {
  return absl::StrCat(
      "name: \"tiny\" preset: \"lolcats\" model { path: \"",
      folder_.File("model"), "\" } data { path: \"", folder_.File("train.h5"),
      "\" } attention { window: 8 features: 32 } budget { transfer_steps: 2 "
      "finetune_steps: 1 batch: 2 } ",
      more);
}

httplib::Result WebServerFixture::Post(const std::string& path,
                                       const std::string& body,
                                       const httplib::Headers& headers) {
  return client_->Post(path, headers, body, "application/json");
}

httplib::Result WebServerFixture::SubmitText(const std::string& text) {
  return Post("/api/jobs", Json{{"job", text}}.dump());
}

JobId WebServerFixture::Submitted(const std::string& text) {
  const auto answer = SubmitText(text);
  CARACAL_CHECK(answer && answer->status == 201);
  return Json::parse(answer->body)["id"].get<JobId>();
}

Json WebServerFixture::Get(const std::string& path, int status) {
  const auto answer = client_->Get(path);
  CARACAL_CHECK(answer) << path;
  EXPECT_EQ(answer->status, status) << path << ": " << answer->body;
  return Json::parse(answer->body, nullptr, false);
}

void WebServerFixture::Await(
    const std::function<void(Coordinator::GangReply)>& call) {
  absl::Notification told;
  call([&](const absl::StatusOr<GangAnswer>& answer) {
    EXPECT_OK(answer.status());
    told.Notify();
  });
  told.WaitForNotification();
}

void WebServerFixture::Tell(JobId id, const std::vector<std::string>& lines,
                            int64_t first) {
  Await([&](Coordinator::GangReply reply) {
    coordinator_->Heartbeat(
        id, 1, {.progress = {"transfer", 1, 3}, .first = first, .lines = lines},
        std::move(reply));
  });
}

void WebServerFixture::Register(JobId id) {
  Await([&](Coordinator::GangReply reply) {
    coordinator_->Register(id, 1, std::move(reply));
  });
}

std::vector<Json> WebServerFixture::Events(const std::string& path,
                                           size_t count,
                                           const httplib::Headers& headers) {
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

int WebServerFixture::Send(const std::string& bytes) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port()));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CARACAL_CHECK(connect(socket, reinterpret_cast<sockaddr*>(&to), sizeof(to)) ==
                0);
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n =
        send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) break;
    sent += static_cast<size_t>(n);
  }
  return socket;
}

std::string WebServerFixture::Raw(const std::string& bytes, bool finish) {
  const int socket = Send(bytes);
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

}  // namespace caracal
