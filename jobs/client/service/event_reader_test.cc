// Streams of a coordinator that is started again, or that refuses: of events,
// and of what gangs print.
#include "jobs/client/service/event_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/base/status_matchers.h"
#include "core/base/temporary_folder.h"
#include "jobs/client/console.h"
#include "jobs/client/service/logs.h"
#include "jobs/coordinator/rpc/stream_mark.h"

namespace caracal {
namespace {

using ::testing::_;

constexpr absl::Duration kDeadline = absl::Seconds(30);

// Answers as each test says, a call after the other.
class FakeJobs : public proto::Jobs::Service {
 public:
  using Events = grpc::ServerWriter<proto::JobEvent>;
  using Logged = grpc::ServerWriter<proto::LogsResponse>;

  grpc::Status Watch(grpc::ServerContext* context,
                     const proto::WatchRequest* request,
                     Events* events) override {
    return watch(*context, *request, *events);
  }
  grpc::Status Logs(grpc::ServerContext* context,
                    const proto::LogsRequest* request, Logged* parts) override {
    return logs(*context, *request, *parts);
  }

  std::function<grpc::Status(grpc::ServerContext&, const proto::WatchRequest&,
                             Events&)>
      watch;
  std::function<grpc::Status(grpc::ServerContext&, const proto::LogsRequest&,
                             Logged&)>
      logs;
};

template <typename Writer>
void LetIn(grpc::ServerContext& context, Writer& writer) {
  context.AddInitialMetadata(kStreamMark, "1");
  writer.SendInitialMetadata();
}

proto::JobEvent Event(uint64_t sequence) {
  proto::JobEvent event;
  event.set_sequence(sequence);
  return event;
}

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() { option_.server = folder_.File("endpoint.json"); }
  ~StreamTest() override { Stop(); }

  // On another port than before, as it may come.
  void Start() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&jobs_);
    server_ = builder.BuildAndStart();
    CARACAL_CHECK_OK(
        WriteEndpoint({absl::StrCat("127.0.0.1:", port)}, option_.server));
  }
  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_ = nullptr;
  }

  TemporaryFolder folder_;
  ServerOption option_;
  FakeJobs jobs_;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(StreamTest, AQuietJobHearsThatTheCoordinatorIsBack) {
  absl::Mutex mutex;
  int in = 0;
  bool last = false;
  jobs_.watch = [&](auto& context, const auto&, auto& events) {
    LetIn(context, events);
    bool write = false;
    {
      absl::MutexLock lock(&mutex);
      ++in;
      write = last;
    }
    if (write) events.Write(Event(1));
    // Nothing happens until one side ends.
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    return grpc::Status::CANCELLED;
  };
  std::vector<bool> told;
  Start();
  absl::Status outcome;
  std::thread reader([&] {
    outcome = ReadEvents(option_,
                         {.job = 1,
                          .away =
                              [&](bool away) {
                                absl::MutexLock lock(&mutex);
                                told.push_back(away);
                              }},
                         [](const proto::JobEvent&) { return false; });
  });
  const auto await = [&](auto what) {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&what), kDeadline));
  };
  await([&] { return in == 1; });
  for (size_t restarts = 1; restarts <= 2; ++restarts) {
    Stop();
    await([&] { return told.size() == 2 * restarts - 1; });
    {
      absl::MutexLock lock(&mutex);
      last = restarts == 2;
    }
    Start();
    await([&] { return told.size() == 2 * restarts; });
  }
  reader.join();
  EXPECT_OK(outcome);
  EXPECT_EQ(told, (std::vector<bool>{true, false, true, false}));
}

TEST_F(StreamTest, EndsWhenPatienceDoes) {
  int calls = 0;
  jobs_.watch = [&](auto& context, const auto&, auto& events) {
    if (++calls == 1) LetIn(context, events);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  };
  Start();
  EXPECT_THAT(
      ReadEvents(option_, {.job = 1, .patience = absl::Milliseconds(300)},
                 [](const proto::JobEvent&) { return true; }),
      StatusIs(absl::StatusCode::kUnavailable, _));
  EXPECT_GE(calls, 2);
}

TEST_F(StreamTest, WaitsAsLongAsTheCoordinatorSays) {
  std::vector<absl::Time> calls;
  std::vector<uint64_t> after;
  jobs_.watch = [&](auto& context, const auto& request, auto& events) {
    calls.push_back(absl::Now());
    after.push_back(request.after());
    if (calls.size() == 2) {
      context.AddTrailingMetadata(kRetryPushback, "500");
    } else {
      LetIn(context, events);
      events.Write(Event(calls.size()));
    }
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too fast");
  };
  Start();
  std::vector<uint64_t> heard;
  EXPECT_OK(ReadEvents(option_, {.job = 1}, [&](const proto::JobEvent& event) {
    heard.push_back(event.sequence());
    return heard.size() < 2;
  }));
  EXPECT_EQ(heard, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(after, (std::vector<uint64_t>{0, 1, 1}));
  ASSERT_EQ(calls.size(), 3);
  EXPECT_GE(calls[1] - calls[0], absl::Milliseconds(150));
  EXPECT_GE(calls[2] - calls[1], absl::Milliseconds(450));
}

TEST_F(StreamTest, AFirstRefusalIsTold) {
  jobs_.watch = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many");
  };
  Start();
  EXPECT_THAT(ReadEvents(option_, {.job = 1},
                         [](const proto::JobEvent&) { return true; }),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
}

TEST_F(StreamTest, FollowedLogsGoOnAtTheirByte) {
  const std::vector<std::string> texts = {"one two\n", "three four\n",
                                          "five\n"};
  std::vector<std::string> asked;
  size_t sent = 0;
  jobs_.logs = [&](auto& context, const auto& request, auto& parts) {
    LetIn(context, parts);
    asked.push_back(absl::StrCat(request.begin_gang(), "+", request.offset()));
    if (asked.size() == 2) return grpc::Status(grpc::StatusCode::CANCELLED, "");
    // At most seven bytes a call but the last, three at a time.
    int64_t left = asked.size() < 4 ? 7 : 100;
    uint64_t offset = request.offset();
    for (uint64_t gang = std::max<uint64_t>(1, request.begin_gang());
         gang <= texts.size(); ++gang, offset = 0) {
      for (; offset < texts[gang - 1].size(); offset += 3) {
        if (left <= 0) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
        proto::LogsResponse part;
        part.set_gang(gang);
        part.set_offset(offset);
        part.set_text(texts[gang - 1].substr(offset, 3));
        parts.Write(part);
        sent += part.text().size();
        left -= 3;
      }
    }
    return grpc::Status::OK;
  };
  Start();
  CLI::App app;
  const CommandBody body = DeclareLogs(app);
  app.parse("1 -f --server " + option_.server);
  std::ostringstream out, err;
  Console console{out, err};
  EXPECT_OK(body(console));
  EXPECT_EQ(out.str(), "one two\nthree four\nfive\n");
  EXPECT_EQ(sent, out.str().size());
  EXPECT_THAT(asked, ::testing::ElementsAre("0+0", "1+8", "1+8", "2+9"));
}

}  // namespace
}  // namespace caracal
